rule grade:
    input:
        problems=PROBLEMS,
        candidates=CANDIDATES,
    output:
        GRADES,
    log:
        "logs/{experiment}/grade/{dataset}/{policy}/{generator}.log",
    group:
        "tables"
    conda:
        "../../envs/analysis.yaml"
    # Comparisons of LaTeX, and programs, run in a process per thread.
    threads: lambda w: PLAN.graders(w.dataset)
    resources:
        mem_mb=2000,
    params:
        spec=lambda w: PLAN.grade(w.dataset, w.policy),
    shell:
        "ISOFLOP_GRADERS={threads} python -m isoflop.stages.grade {params.spec:q} {input} {output} 2> {log}"
