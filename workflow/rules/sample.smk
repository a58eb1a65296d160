# The model's files are inputs so that a changed checkpoint samples again; the stage finds them by the spec.
rule sample:
    input:
        problems=part_input("sample", "results/{experiment}/problems/{dataset}.parquet"),
        model=part_input("sample", lambda w: PLAN.policy_files(w.policy)),
    output:
        candidates=part(
            "results/{experiment}/sample/{dataset}/{policy}/{generator}{shard}.parquet"
        ),
        ledger=part(
            "results/{experiment}/sample/{dataset}/{policy}/{generator}{shard}.ledger.json"
        ),
    log:
        "logs/{experiment}/sample/{dataset}/{policy}/{generator}{shard}.log",
    wildcard_constraints:
        generator=any_of(PLAN.sampled()),
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    # Not tracked, as they should be: neither changes a result.
    resources:
        gpu=lambda w: PLAN.gpus([w.policy]),
        mem_mb=2000,
        batch_size=CONFIG.engine_settings.batch_size,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: PLAN.sample(w.policy, w.generator),
    shell:
        "OMP_NUM_THREADS={threads} ISOFLOP_GPUS={resources.gpu} ISOFLOP_BATCH_SIZE={resources.batch_size} "
        "ISOFLOP_CHUNK_PROBLEMS={resources.chunk_problems} "
        "python -m isoflop.stages.sample {params.spec:q} {input.problems} {output} 2> {log}"
