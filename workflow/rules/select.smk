rule select:
    input:
        problems=PROBLEMS,
        candidates=CANDIDATES,
        grades=GRADES,
        ledger=lambda w: PLAN.paths.usage(pool_of(w)),
        scores=lambda w: PLAN.paths.scores(pool_of(w)),
    output:
        CREDITS,
    wildcard_constraints:
        # Counts have their credits from their own rule.
        generator=any_of(name for name in CONFIG.generators if name not in CONFIG.counts),
    log:
        "logs/{experiment}/select/{dataset}/{policy}/{generator}.log",
    group:
        "tables"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=lambda w: PLAN.select(w.policy, w.generator),
    shell:
        "python -m isoflop.stages.select - {input} {output} 2> {log} <<< {params.spec:q}"
