rule train:
    input:
        data=lambda w: PLAN.train_data(w.model),
        start=lambda w: PLAN.train_start(w.model),
        checkpoint=lambda w: PLAN.train_files(w.model),
    output:
        directory(TRAINED),
    log:
        "logs/{experiment}/train/{model}.log",
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.training_gpus(w.model, TRAINING_GPUS),
        mem_mb=4000,
    params:
        spec=lambda w: PLAN.train(w.model),
    shell:
        "OMP_NUM_THREADS={threads} ISOFLOP_GPUS={resources.gpu} "
        "python -m isoflop.stages.train {params.spec:q} {input.data} {input.start} {output} 2> {log}"
