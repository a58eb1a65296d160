rule select:
    input:
        problems=PROBLEMS,
        candidates=CANDIDATES,
        grades=GRADES,
        ledger=lambda w: PLAN.paths.usage(pool_of(w)),
        scores=lambda w: PLAN.paths.scores(pool_of(w)),
    output:
        CREDITS,
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
        "python -m isoflop.stages.select {params.spec:q} {input} {output} 2> {log}"
