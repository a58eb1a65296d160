if PLAN.pools.chains():

    rule revision_rates:
        input:
            REVISIONS.rates_inputs(),
        output:
            report(
                "results/{experiment}/tables/revisions.csv",
                caption="../report/revisions.rst",
                category="Tables",
                labels={"table": "right and wrong answers along chains of revisions"},
            ),
        log:
            "logs/{experiment}/revision_rates.log",
        group:
            "study"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w: REVISIONS.rates(),
        shell:
            "python -m isoflop.stages.revision_rates {params.spec:q} {input} {output} 2> {log}"
