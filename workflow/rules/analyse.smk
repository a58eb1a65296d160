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
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=lambda w: PLAN.fit(),
    shell:
        SETUP
        + "python -m isoflop.stages.fit - {input} {output} 2> {log} <<< {params.spec:q}"


if COUNTED.coverage_tables():

    rule coverage:
        input:
            COUNTED.coverage_inputs(),
        output:
            [
                report(
                    table,
                    caption=f"../report/{Path(table).stem}.rst",
                    category="Tables",
                    labels={"table": Path(table).stem.replace("_", " ")},
                )
                for table in COUNTED.coverage_tables()
            ],
        log:
            f"logs/{CONFIG.experiment}/coverage.log",
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w: COUNTED.coverage(),
        shell:
            SETUP
            + "python -m isoflop.stages.coverage - {input} {output} 2> {log} <<< {params.spec:q}"


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
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w: REVISIONS.rates(),
        shell:
            SETUP
            + "python -m isoflop.stages.revision_rates - {input} {output} 2> {log} <<< {params.spec:q}"


if PLAN.pools.scored():

    rule verifier_quality:
        input:
            JUDGED.inputs(),
        output:
            report(
                "results/{experiment}/tables/verifiers.csv",
                caption="../report/verifiers_table.rst",
                category="Tables",
                labels={"table": "how well verifiers tell right from wrong"},
            ),
            report(
                "results/{experiment}/tables/calibration.csv",
                caption="../report/calibration_table.rst",
                category="Tables",
                labels={"table": "calibration of verifiers"},
            ),
        log:
            "logs/{experiment}/verifier_quality.log",
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w: JUDGED.quality(),
        shell:
            SETUP
            + "python -m isoflop.stages.verifier_quality - {input} {output} 2> {log} <<< {params.spec:q}"


if CONFIG.compute_optimal is not None:

    rule allocate:
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
            "logs/{experiment}/allocate.log",
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w: CHOICE.allocate(),
        shell:
            SETUP
            + "python -m isoflop.stages.allocate - {input} {output} 2> {log} <<< {params.spec:q}"


rule plan_comparison:
    input:
        credits="results/{experiment}/fit/credits.parquet",
        evidence=PLAN.paths.evidence(),
        times=times_beside(PLAN.paths.evidence()),
    output:
        report(
            "results/{experiment}/tables/plan.csv",
            caption="../report/plan.rst",
            category="Tables",
            labels={"table": "plan and measurement"},
        ),
        "results/{experiment}/tables/plan.md",
        [f"results/{{experiment}}/times/{name}" for name in PLANNED_FILES],
    log:
        "logs/{experiment}/plan_comparison.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: comparison_spec(PLAN),
    shell:
        SETUP
        + "python -m isoflop.stages.plan_comparison"
        + runtime("chunk_problems")
        + "- $(dirname $(dirname {input.credits})) {input.credits} {output} 2> {log} <<< {params.spec:q}"


# What a clock measured, apart from all that results are made of.
rule times:
    input:
        credits="results/{experiment}/fit/credits.parquet",
        seconds=REPORT_PLAN.seconds(),
        jobs=REPORT_PLAN.time_inputs(),
    output:
        [
            report(
                f"results/{{experiment}}/times/{name}",
                caption="../report/times.rst",
                category="Times",
                labels={"table": name},
            )
            for name in TIME_FILES
        ],
    log:
        "logs/{experiment}/times.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=lambda w: REPORT_PLAN.times(),
    shell:
        SETUP
        + "python -m isoflop.stages.times - $(dirname $(dirname {input.credits})) {input.credits} {input.seconds} {output} "
        "2> {log} <<< {params.spec:q}"
