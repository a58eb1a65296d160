# The model's files are inputs so that a changed checkpoint samples again; the stage finds them by the spec.
rule sample:
    input:
        problems=part_input(CANDIDATES, PROBLEMS),
        model=part_input(CANDIDATES, lambda w: PLAN.models.policy_files(w.policy)),
    output:
        candidates=part(CANDIDATES),
        ledger=part(ledger_of(CANDIDATES)),
    log:
        "logs/{experiment}/sample/{dataset}/{policy}/{generator}{shard}.log",
    wildcard_constraints:
        generator=any_of(PLAN.pools.sampled()),
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    # Not tracked, as they should be: neither changes a result.
    resources:
        gpu=lambda w: PLAN.models.gpus([w.policy]),
        mem_mb=2000,
        batch_size=CONFIG.engine_settings.batch_size,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: PLAN.sample(w.policy, w.generator),
    shell:
        "OMP_NUM_THREADS={threads} ISOFLOP_GPUS={resources.gpu} ISOFLOP_BATCH_SIZE={resources.batch_size} "
        "ISOFLOP_CHUNK_PROBLEMS={resources.chunk_problems} "
        "python -m isoflop.stages.sample {params.spec:q} {input.problems} {output} 2> {log}"
