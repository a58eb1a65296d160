rule label:
    input:
        problems=lambda w: PLAN.label_problems(w.label),
        models=lambda w: PLAN.label_models(w.label),
    output:
        LABELS,
    log:
        "logs/{experiment}/label/{label}.log",
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.label_gpus(w.label),
        mem_mb=4000,
        batch_size=CONFIG.engine_settings.batch_size,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: PLAN.label(w.label),
    shell:
        "OMP_NUM_THREADS={threads} ISOFLOP_GPUS={resources.gpu} ISOFLOP_BATCH_SIZE={resources.batch_size} "
        "ISOFLOP_CHUNK_PROBLEMS={resources.chunk_problems} "
        "python -m isoflop.stages.label {params.spec:q} {input.problems} {output} 2> {log}"
