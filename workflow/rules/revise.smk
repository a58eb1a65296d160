rule revise:
    input:
        problems=part_input("sample", "results/{experiment}/problems/{dataset}.parquet"),
        model=part_input("sample", lambda w: PLAN.policy_files(w.policy)),
    output:
        candidates=part(
            "results/{experiment}/sample/{dataset}/{policy}/{generator}{shard}.parquet"
        ),
        ledger=part(
            "results/{experiment}/sample/{dataset}/{policy}/{generator}{shard}.ledger.json"
        ),
    log:
        "logs/{experiment}/revise/{dataset}/{policy}/{generator}{shard}.log",
    wildcard_constraints:
        generator=any_of(CONFIG.chains),
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.gpus([w.policy]),
        mem_mb=3000,
        batch_size=CONFIG.engine_settings.batch_size,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: REVISIONS.revise(w.policy, w.generator),
    shell:
        "OMP_NUM_THREADS={threads} ISOFLOP_GPUS={resources.gpu} ISOFLOP_BATCH_SIZE={resources.batch_size} "
        "ISOFLOP_CHUNK_PROBLEMS={resources.chunk_problems} "
        "python -m isoflop.stages.revise {params.spec:q} {input.problems} {output} 2> {log}"


# Chains of one length are picked from like a pool of their own.
rule select_revisions:
    input:
        problems="results/{experiment}/problems/{dataset}.parquet",
        candidates="results/{experiment}/sample/{dataset}/{policy}/{generator}.parquet",
        grades="results/{experiment}/grade/{dataset}/{policy}/{generator}.parquet",
        ledger="results/{experiment}/sample/{dataset}/{policy}/{generator}.ledger.json",
        scores=lambda w: PLAN.scores(w.dataset, w.policy, w.generator),
    output:
        "results/{experiment}/select/{dataset}/{policy}/{generator}/{length}.parquet",
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
        spec=lambda w: REVISIONS.select(w.generator, int(w.length)),
    shell:
        "python -m isoflop.stages.select {params.spec:q} {input} {output} 2> {log}"
