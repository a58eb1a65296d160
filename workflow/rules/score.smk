rule score:
    input:
        problems="results/{experiment}/problems/{dataset}.parquet",
        candidates="results/{experiment}/sample/{dataset}/{policy}/{generator}.parquet",
        model=lambda w: PLAN.verifier_files(w.verifier),
    output:
        scores="results/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}.parquet",
        ledger="results/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}.ledger.json",
    log:
        "logs/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}.log",
    wildcard_constraints:
        generator=any_of([*PLAN.sampled(), *CONFIG.chains]),
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        mem_mb=2000,
        batch_tokens=CONFIG.engine_settings.batch_tokens,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: PLAN.score(w.verifier),
    shell:
        "OMP_NUM_THREADS={threads} ISOFLOP_BATCH_TOKENS={resources.batch_tokens} "
        "ISOFLOP_CHUNK_PROBLEMS={resources.chunk_problems} "
        "python -m isoflop.stages.score {params.spec:q} {input.problems} {input.candidates} {output} 2> {log}"
