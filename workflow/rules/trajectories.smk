rule trajectories:
    input:
        problems=lambda w: REVISIONS.trajectories_inputs(w.trajectories)[0],
        model=lambda w: REVISIONS.trajectories_inputs(w.trajectories)[1:],
    output:
        TRAJECTORIES,
    log:
        "logs/{experiment}/trajectories/{trajectories}.log",
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
        "OMP_NUM_THREADS={threads} ISOFLOP_GPUS={resources.gpu} ISOFLOP_BATCH_SIZE={resources.batch_size} "
        "ISOFLOP_CHUNK_PROBLEMS={resources.chunk_problems} "
        "python -m isoflop.stages.trajectories {params.spec:q} {input.problems} {output} 2> {log}"
