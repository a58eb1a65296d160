rule report:
    input:
        curves="results/{experiment}/tables/curves.csv",
        fits="results/{experiment}/tables/fits.csv",
        differences="results/{experiment}/tables/differences.csv",
        draws="results/{experiment}/fit/draws.parquet",
        credits="results/{experiment}/fit/credits.parquet",
        evidence=PLAN.paths.evidence(),
        published=own(REPORT_PLAN.published_files()),
        choice=CHOICE.tables(),
        coverage=COUNTED.evidence(),
        revisions=REVISIONS.table(),
        verifiers=JUDGED.tables(),
    output:
        report(
            "results/{experiment}/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"report": "everything in one file"},
        ),
        report(
            "results/{experiment}/tables/table4.csv",
            caption="../report/table4.rst",
            category="Tables",
            labels={"table": "in the layout of Wu et al. 2024, Table 4"},
        ),
        "results/{experiment}/tables/table4.md",
        "results/{experiment}/tables/table4.tex",
        "results/{experiment}/tables/headline.md",
        "results/{experiment}/tables/headline.csv",
        report(
            "results/{experiment}/tables/samples.csv",
            caption="../report/samples.rst",
            category="Tables",
            labels={"table": "how solutions end"},
        ),
        report(
            "results/{experiment}/tables/claims.csv",
            caption="../report/claims.rst",
            category="Tables",
            labels={"table": "the claims of Wu et al. 2024, tested"},
        ),
        [
            f"results/{{experiment}}/tables/{name}"
            for name in REPORT_PLAN.further_tables()
        ],
        [
            report(
                f"results/{{experiment}}/figures/{name}.svg",
                caption=f"../report/{name}.rst",
                category="Figures",
                labels={"figure": name.replace("_", " ")},
            )
            for name in REPORT_PLAN.figures()
        ],
        [f"results/{{experiment}}/figures/{name}.png" for name in REPORT_PLAN.figures()],
    log:
        "logs/{experiment}/report.log",
    conda:
        "../../envs/analysis.yaml"
    # Figures are shared between as many processes.
    threads: 4
    resources:
        mem_mb=2000,
    params:
        spec=lambda w: REPORT_PLAN.report(),
    shell:
        SETUP
        + "folder=$(dirname $(dirname {input.curves:q})); python -m isoflop.stages.report"
        + runtime("drawers")
        + '- "$folder" "$folder" 2> {log} <<< {params.spec:q}'
