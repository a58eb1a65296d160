# One rule per import: whether it writes scores depends on the config.
for _pool in PLAN.replays():

    rule:
        name:
            f"replay_{_pool.generator}".replace("-", "_").replace(".", "_")
        input:
            problems=f"{PLAN.results}/problems/{_pool.dataset}.parquet",
            files=PLAN.replay_files(_pool.generator),
        output:
            PLAN.replay_outputs(_pool),
        log:
            f"logs/{CONFIG.experiment}/replay/{'/'.join(_pool)}.log",
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w, name=_pool.generator: PLAN.replay(name),
        shell:
            "python -m isoflop.stages.replay {params.spec:q} {input.problems} {output} 2> {log}"
