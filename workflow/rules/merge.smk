# One table of the parts that shards made. Its specification is that of a table made in one piece, and so are
# its other inputs: a finished table is not made again in another number of shards.
if CONFIG.shards > 1:

    rule merge_sample:
        input:
            "results/{experiment}/problems/{dataset}.parquet",
            lambda w: PLAN.policy_files(w.policy),
            parts=lambda w: PLAN.parts("sample", w.dataset, w.policy, w.generator),
        output:
            "results/{experiment}/sample/{dataset}/{policy}/{generator}.parquet",
            "results/{experiment}/sample/{dataset}/{policy}/{generator}.ledger.json",
        log:
            "logs/{experiment}/sample/{dataset}/{policy}/{generator}.log",
        wildcard_constraints:
            generator=any_of(PLAN.sampled()),
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
            "results/{experiment}/problems/{dataset}.parquet",
            lambda w: PLAN.search_models(w.policy, w.generator),
            parts=lambda w: PLAN.parts(
                "search", w.dataset, w.policy, w.generator, w.budget
            ),
        output:
            "results/{experiment}/search/{dataset}/{policy}/{generator}/{budget}.parquet",
            "results/{experiment}/search/{dataset}/{policy}/{generator}/{budget}.ledger.json",
        log:
            "logs/{experiment}/search/{dataset}/{policy}/{generator}/{budget}.log",
        wildcard_constraints:
            generator=any_of(CONFIG.searches),
            budget=r"\d+",
        params:
            spec=lambda w: PLAN.search(w.policy, w.generator, int(w.budget)),

    use rule merge_sample as merge_score with:
        input:
            "results/{experiment}/problems/{dataset}.parquet",
            "results/{experiment}/sample/{dataset}/{policy}/{generator}.parquet",
            lambda w: PLAN.verifier_files(w.verifier),
            parts=lambda w: PLAN.parts(
                "score", w.dataset, w.policy, w.generator, w.verifier
            ),
        output:
            "results/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}.parquet",
            "results/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}.ledger.json",
        log:
            "logs/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}.log",
        wildcard_constraints:
            generator=any_of([*PLAN.sampled(), *CONFIG.chains]),
        params:
            spec=lambda w: PLAN.score(w.policy, w.verifier),
