# One table of the parts that shards made. Its specification is that of a table made in one piece, and so are
# its other inputs: a finished table is not made again in another number of shards.
if CONFIG.shards > 1:

    rule merge_sample:
        input:
            PROBLEMS,
            lambda w: PLAN.models.policy_files(w.policy),
            parts=lambda w: PLAN.paths.parts(CANDIDATES, **w),
        output:
            CANDIDATES,
            ledger_of(CANDIDATES),
        log:
            "logs/{experiment}/sample/{dataset}/{policy}/{generator}.log",
        wildcard_constraints:
            generator=any_of(PLAN.pools.sampled()),
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=4000,
        params:
            spec=lambda w: PLAN.sample(w.policy, w.generator),
        shell:
            "python -m isoflop.stages.merge {input.parts} {output} 2> {log}"

    use rule merge_sample as merge_revise with:
        log:
            "logs/{experiment}/revise/{dataset}/{policy}/{generator}.log",
        wildcard_constraints:
            generator=any_of(CONFIG.chains),
        params:
            spec=lambda w: REVISIONS.revise(w.policy, w.generator),

    use rule merge_sample as merge_search with:
        input:
            PROBLEMS,
            lambda w: PLAN.search_models(w.policy, w.generator),
            parts=lambda w: PLAN.paths.parts(TREES, **w),
        output:
            TREES,
            ledger_of(TREES),
        log:
            "logs/{experiment}/search/{dataset}/{policy}/{generator}/{budget}.log",
        wildcard_constraints:
            generator=any_of(CONFIG.searches),
            budget=r"\d+",
        params:
            spec=lambda w: PLAN.search(w.policy, w.generator, int(w.budget)),

    use rule merge_sample as merge_score with:
        input:
            PROBLEMS,
            CANDIDATES,
            lambda w: PLAN.models.verifier_files(w.verifier),
            parts=lambda w: PLAN.paths.parts(SCORES, **w),
        output:
            SCORES,
            ledger_of(SCORES),
        log:
            "logs/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}.log",
        wildcard_constraints:
            generator=any_of([*PLAN.pools.sampled(), *CONFIG.chains]),
        params:
            spec=lambda w: PLAN.score(w.policy, w.verifier),
