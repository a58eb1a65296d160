rule select:
    input:
        problems="results/{experiment}/problems/{dataset}.parquet",
        candidates="results/{experiment}/sample/{dataset}/{policy}/{generator}.parquet",
        grades="results/{experiment}/grade/{dataset}/{policy}/{generator}.parquet",
        ledger=lambda w: PLAN.usage(w.dataset, w.policy, w.generator),
        scores=lambda w: PLAN.scores(w.dataset, w.policy, w.generator),
    output:
        "results/{experiment}/select/{dataset}/{policy}/{generator}.parquet",
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
