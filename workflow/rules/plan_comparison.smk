rule plan_comparison:
    input:
        credits="results/{experiment}/fit/credits.parquet",
        evidence=PLAN.paths.evidence(),
    output:
        report(
            "results/{experiment}/tables/plan.csv",
            caption="../report/plan.rst",
            category="Tables",
            labels={"table": "plan and measurement"},
        ),
        "results/{experiment}/tables/plan.md",
    log:
        "logs/{experiment}/plan_comparison.log",
    group:
        "study"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: comparison_spec(PLAN),
    shell:
        "ISOFLOP_CHUNK_PROBLEMS={resources.chunk_problems} "
        "python -m isoflop.stages.plan_comparison {params.spec:q} "
        "results/{wildcards.experiment} {input.credits} {output} 2> {log}"
