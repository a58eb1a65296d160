rule problems:
    input:
        files=lambda w: own(PLAN.problems_files(w.dataset)),
    output:
        PROBLEMS,
    log:
        "logs/{experiment}/problems/{dataset}.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1000,
    params:
        spec=lambda w: PLAN.problems(w.dataset),
    shell:
        SETUP
        + "python -m isoflop.stages.problems"
        + runtime()
        + "- {output} 2> {log} <<< {params.spec:q}"
