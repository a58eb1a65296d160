if CONFIG.difficulty is not None:

    rule difficulty:
        input:
            problems=PROBLEMS,
            pool=lambda w: CHOICE.difficulty_inputs(w.dataset, w.policy),
        output:
            DIFFICULTY,
        log:
            "logs/{experiment}/difficulty/{dataset}/{policy}.log",
        group:
            "tables"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w: CHOICE.difficulty(w.dataset, w.policy),
        shell:
            "python -m isoflop.stages.difficulty {params.spec:q} {input} {output} 2> {log}"
