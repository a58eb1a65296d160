if CONFIG.counts:

    rule coverage:
        input:
            PLAN.coverage_inputs(),
        output:
            [
                report(
                    table,
                    caption=f"../report/{Path(table).stem}.rst",
                    category="Tables",
                    labels={"table": Path(table).stem.replace("_", " ")},
                )
                for table in PLAN.coverage_tables()
            ],
        log:
            f"logs/{CONFIG.experiment}/coverage.log",
        group:
            "study"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w: PLAN.coverage(),
        shell:
            "python -m isoflop.stages.coverage - {input} {output} 2> {log} <<< {params.spec:q}"
