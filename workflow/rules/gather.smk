import re

# One rule per search of a policy: the scores are under the name of the verifier that guided it.
for _pool in PLAN.pools.searches():

    rule:
        name:
            re.sub(r"\W", "_", f"gather_{'_'.join(_pool)}")
        input:
            PLAN.paths.trees(_pool),
        output:
            PLAN.paths.gathered(_pool),
        log:
            f"logs/{CONFIG.experiment}/gather/{'/'.join(_pool)}.log",
        group:
            "tables"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w, pool=_pool: PLAN.gather(pool.policy, pool.generator),
        shell:
            "python -m isoflop.stages.gather {params.spec:q} {input} {output} 2> {log}"
