if CONFIG.compute_optimal is not None:

    rule choose:
        input:
            CHOICE.credits(),
            CHOICE.difficulties(),
        output:
            report(
                "results/{experiment}/tables/by_difficulty.csv",
                caption="../report/by_difficulty.rst",
                category="Tables",
                labels={"table": "accuracy by difficulty"},
            ),
            report(
                "results/{experiment}/tables/compute_optimal.csv",
                caption="../report/compute_optimal_table.rst",
                category="Tables",
                labels={"table": "compute-optimal choice"},
            ),
            report(
                "results/{experiment}/tables/exchange.csv",
                caption="../report/exchange_table.rst",
                category="Tables",
                labels={"table": "pretraining against test-time compute"},
            ),
            report(
                "results/{experiment}/tables/claims_snell2024.csv",
                caption="../report/claims_snell2024.rst",
                category="Tables",
                labels={"table": "the claims of Snell et al. 2024, tested"},
            ),
            report(
                "results/{experiment}/tables/exchange_curves.csv",
                caption="../report/exchange_curves_table.rst",
                category="Tables",
                labels={"table": "the small model's curve in bins of the pair"},
            ),
        log:
            "logs/{experiment}/choose.log",
        group:
            "study"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w: CHOICE.choose(),
        shell:
            "python -m isoflop.stages.choose - {input} {output} 2> {log} <<< {params.spec:q}"
