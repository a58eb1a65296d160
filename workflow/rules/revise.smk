rule revise:
    input:
        problems=part_input(CANDIDATES, PROBLEMS),
        model=part_input(CANDIDATES, lambda w: PLAN.models.policy_files(w.policy)),
    output:
        candidates=part(CANDIDATES),
        ledger=part(ledger_of(CANDIDATES)),
    log:
        "logs/{experiment}/revise/{dataset}/{policy}/{generator}{shard}.log",
    wildcard_constraints:
        generator=any_of(CONFIG.chains),
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.models.gpus([w.policy]),
        mem_mb=3000,
        batch_size=CONFIG.engine_settings.batch_size,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: REVISIONS.revise(w.policy, w.generator),
    shell:
        "OMP_NUM_THREADS={threads} python -m isoflop.stages.revise"
        + runtime("gpus", "batch_size", "chunk_problems")
        + "- {input.problems} {output} 2> {log} <<< {params.spec:q}"


# Chains of one length are picked from like a pool of their own.
rule select_revisions:
    input:
        problems=PROBLEMS,
        candidates=CANDIDATES,
        grades=GRADES,
        ledger=ledger_of(CANDIDATES),
        scores=lambda w: PLAN.paths.scores(pool_of(w)),
    output:
        CHAIN_CREDITS,
    log:
        "logs/{experiment}/select/{dataset}/{policy}/{generator}/{length}.log",
    wildcard_constraints:
        generator=any_of(CONFIG.chains),
        length=r"\d+",
    group:
        "tables"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=lambda w: REVISIONS.select(w.policy, w.generator, int(w.length)),
    shell:
        "python -m isoflop.stages.select - {input} {output} 2> {log} <<< {params.spec:q}"
