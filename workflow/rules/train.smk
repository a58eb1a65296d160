rule step_labels:
    input:
        problems=lambda w: PLAN.label_problems(w.label),
        models=lambda w: own(PLAN.label_models(w.label)),
    output:
        LABELS,
    log:
        "logs/{experiment}/step_labels/{label}.log",
    priority: AWAITED
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.label_gpus(w.label),
        mem_mb=4000,
        batch_size=CONFIG.engine_settings.batch_size,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: PLAN.step_labels(w.label),
    shell:
        SETUP
        + "OMP_NUM_THREADS={threads} python -m isoflop.stages.step_labels"
        + runtime("gpus", "batch_size", "chunk_problems")
        + "- {input.problems} {output} 2> {log} <<< {params.spec:q}"


rule trajectories:
    input:
        problems=lambda w: REVISIONS.trajectories_inputs(w.trajectories)[0],
        model=lambda w: own(REVISIONS.trajectories_inputs(w.trajectories)[1:]),
    output:
        TRAJECTORIES,
    log:
        "logs/{experiment}/trajectories/{trajectories}.log",
    priority: AWAITED
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.models.gpus([CONFIG.revisions[w.trajectories].policy]),
        mem_mb=4000,
        batch_size=CONFIG.engine_settings.batch_size,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: REVISIONS.trajectories(w.trajectories),
    shell:
        SETUP
        + "OMP_NUM_THREADS={threads} python -m isoflop.stages.trajectories"
        + runtime("gpus", "batch_size", "chunk_problems")
        + "- {input.problems} {output} 2> {log} <<< {params.spec:q}"


rule chain_labels:
    input:
        problems=lambda w: REVISIONS.chain_labels_inputs(w.chain_labels)[0],
        model=lambda w: own(REVISIONS.chain_labels_inputs(w.chain_labels)[1:]),
    output:
        CHAIN_LABELS,
        CHAIN_LABELS_ALONE,
    log:
        "logs/{experiment}/chain_labels/{chain_labels}.log",
    priority: AWAITED
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.models.gpus([CONFIG.chain_labels[w.chain_labels].policy]),
        mem_mb=4000,
        batch_size=CONFIG.engine_settings.batch_size,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: REVISIONS.chain_labels(w.chain_labels),
    shell:
        SETUP
        + "OMP_NUM_THREADS={threads} python -m isoflop.stages.chain_labels"
        + runtime("gpus", "batch_size", "chunk_problems")
        + "- {input.problems} {output} 2> {log} <<< {params.spec:q}"


rule train:
    input:
        data=lambda w: PLAN.train_data(w.model),
        start=lambda w: PLAN.train_start(w.model),
        checkpoint=lambda w: own(PLAN.train_files(w.model)),
    output:
        folder=directory(TRAINED),
        times=times_of(TRAINED),
    log:
        "logs/{experiment}/train/{model}.log",
    priority: AWAITED
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.training_gpus(w.model, TRAINING_GPUS),
        mem_mb=4000,
    params:
        spec=lambda w: PLAN.train(w.model),
    shell:
        SETUP
        + "OMP_NUM_THREADS={threads} python -m isoflop.stages.train"
        + runtime("gpus")
        + "- {input.data} {input.start} {output.folder} 2> {log} <<< {params.spec:q}"
