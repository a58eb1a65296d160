rule fit:
    input:
        PLAN.paths.credits(),
    output:
        report(
            "results/{experiment}/tables/curves.csv",
            caption="../report/curves.rst",
            category="Tables",
            labels={"table": "curves"},
        ),
        report(
            "results/{experiment}/tables/fits.csv",
            caption="../report/fits.rst",
            category="Tables",
            labels={"table": "fits"},
        ),
        report(
            "results/{experiment}/tables/differences.csv",
            caption="../report/differences.rst",
            category="Tables",
            labels={"table": "differences"},
        ),
        "results/{experiment}/fit/draws.parquet",
        "results/{experiment}/fit/credits.parquet",
    log:
        "logs/{experiment}/fit.log",
    group:
        "study"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=lambda w: PLAN.fit(),
    shell:
        "python -m isoflop.stages.fit {params.spec:q} {input} {output} 2> {log}"
