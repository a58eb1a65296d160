rule chain_labels:
    input:
        problems=lambda w: REVISIONS.chain_labels_inputs(w.chain_labels)[0],
        model=lambda w: REVISIONS.chain_labels_inputs(w.chain_labels)[1:],
    output:
        CHAIN_LABELS,
        CHAIN_LABELS_ALONE,
    log:
        "logs/{experiment}/chain_labels/{chain_labels}.log",
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
        "OMP_NUM_THREADS={threads} ISOFLOP_GPUS={resources.gpu} ISOFLOP_BATCH_SIZE={resources.batch_size} "
        "ISOFLOP_CHUNK_PROBLEMS={resources.chunk_problems} "
        "python -m isoflop.stages.chain_labels {params.spec:q} {input.problems} {output} 2> {log}"
