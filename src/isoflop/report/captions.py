"""What the report says of every figure: its title and its caption.

A caption says how to read a figure and what is drawn, never what was found: findings are sentences with
intervals, made from the tables.
"""

FIGURE_TITLES = {
    "thinking": "Thinking longer or voting more",
    "error_by_size": "Error against compute, by model size",
    "error_by_strategy": "Error against compute, by strategy",
    "optimal_size": "The best size for a compute budget",
    "coverage_by_size": "Coverage against compute, by model size",
    "coverage_forecast": "Coverage predicted from the first samples",
    "coverage_pretraining": "Pretraining against samples, on one axis",
    "majority_weighted": "Majority against weighted voting",
    "accuracy_by_level": "Accuracy by difficulty",
    "saturation": "Saturation and its limit",
    "search_methods": "Tree search against sampling",
    "search_by_size": "Tree search against sampling, sizes on one axis",
    "search_generations": "Tree search against sampling, by generations",
    "search_voting": "Voting over sampling and over search",
    "search_by_level": "Tree search by difficulty",
    "search_easy_hard": "Tree search on easy and on hard problems",
    "search_trees": "Trees",
    "verifiers": "Verifiers and step aggregations",
    "calibration": "Scores against the share of right solutions",
    "revision_chain": "Right and wrong answers along chains of revisions",
    "revision_sequential": "Sequential revisions against parallel samples",
    "revision_ratio": "The ratio of sequential to parallel",
    "revision_ratio_by_bin": "The ratio of sequential to parallel, by difficulty",
    "revision_verifiers": "Verifiers of revisions",
    "compute_optimal": "The best strategy for a problem's difficulty",
    "choice_gain": "What choosing by difficulty gains",
    "accuracy_by_bin": "Strategies by difficulty",
    "exchange": "Pretraining against test-time compute",
    "exchange_curves": "Pretraining against test-time compute, over the budget",
}
FIGURE_CAPTIONS = {
    "thinking": (
        "Each line is a model at one length of thought, its marks the numbers of answers that vote, from one "
        "on; the dotted line joins one answer of each length. Further left is cheaper: where the dotted line "
        "is above a line at the same cost, thinking longer is measured to be worth more than voting more. "
        "Bands are intervals over problems, of each line alone; paired differences are in the table."
    ),
    "error_by_size": (
        "Each mark is a number of samples, a cross a greedy answer; lower and further left is better. Bands "
        "and bars are intervals over problems. Dashes are the fit with the largest Akaike weight among "
        "those that hold (status ok). The grey staircase is the frontier of the sizes of one family: at "
        "each cost, the least measured error among the points drawn here that cost at most as much, greedy "
        "answers included. It has no interval, and two sizes near it may not differ."
    ),
    "error_by_strategy": (
        "One panel per model, the same samples under each selector. Best-of-n and weighted voting start "
        "further right where the cost includes the verifier's reading of every sample. Greedy decoding is a "
        "single point."
    ),
    "optimal_size": (
        "At each budget, the size of a family with the lowest measured error, without extrapolation; the "
        "grey area is the interval of the best size. The dotted line joins what one sample of each size "
        "costs. Diamonds are the changes of the best size. A filled one is a crossing: both sizes were "
        "affordable before, and the larger one was worse at its cheapest point. An open one is a price: the "
        "larger size is best as soon as one sample of it is affordable, so its place says what a sample "
        "costs, not where curves cross. Where the figure says that there is no clear power law, do not read "
        "an exponent off it."
    ),
    "coverage_by_size": (
        "The share of problems with a right answer among so many samples, which nobody has in practice "
        "without a verifier that finds it. Each mark is a number of samples; bands are intervals over "
        "problems. At a dotted line the size with the highest coverage at that compute changes, as measured: "
        "two sizes near it may not differ."
    ),
    "coverage_forecast": (
        "Marks are measured, with all samples. The dashed line is what a power law of log coverage predicts "
        "from the samples left of the dotted line alone; its band holds the luck of the problems and of "
        "which samples came first. A panel without it has too few samples, or too few right ones among the "
        "first."
    ),
    "coverage_pretraining": (
        "Compute is the sum of a model's pretraining (6 N D) and of its samples on so many problems as it is "
        "asked in its life. Above, the highest coverage that the sum buys, by any model and number of "
        "samples, with the interval over problems; the colour is the size of that model, a hollow mark one "
        "that was measured with fewer samples than it could afford, so its coverage may be higher. Below, "
        "the tokens it was pretrained on, and the share of the sum that is not pretraining."
    ),
    "majority_weighted": (
        "Accuracy by number of samples. pass@k counts a problem as solved if any sample is right, which no "
        "selector exceeds. The distance from weighted voting to it is what selection misses, answers "
        "that are right by luck included. Where majority falls, more problems lose a right answer to the "
        "vote than gain one. The dashed level is greedy decoding, which costs one answer, with its interval."
    ),
    "accuracy_by_level": (
        "The smallest number of samples and the largest that all models share. Marks of one level are set "
        "apart to be seen; bars are intervals over the problems of that level."
    ),
    "saturation": (
        "Marks are measured, dashes a fitted exponential approach where it holds. At infinity is the limit: "
        "the share of problems whose most probable answer is right (majority), or whose answer with the "
        "largest total score is (weighted). Its mark is the vote of the whole pool; its bar also holds the "
        "problems on which the pool leaves the vote open. Marks of one number of samples are set apart."
    ),
    "search_methods": (
        "The same selector over what each generator found; a search is a run of its own at every budget, "
        "and its intervals hold its own randomness. What the compute counts is under the axis: where that "
        "leaves the verifier out, it favours search, which scores every step it may go on from."
    ),
    "search_by_size": (
        "The sizes of one family on one axis: colours are sizes, lines and marks the generator, crosses "
        "greedy answers. Read a horizontal distance between two colours as how much more compute one size "
        "takes for the same error; bands are intervals over problems. What the compute counts is under the "
        "axis."
    ),
    "search_generations": (
        "Every generator under the same selector, at the number of whole solutions that its budget counts "
        "as: a lookahead search of budget N that looks k steps ahead counts as N (k + 1), as in the paper. "
        "Generations are not compute: searches read every step with the verifier, and solutions differ in "
        "length."
    ),
    "search_voting": (
        "The same selectors over samples and over the first search. A search has been guided by the "
        "verifier before anything is voted on; whether majority and weighted voting therefore differ less "
        "over its solutions is one of the claims that are tested above."
    ),
    "search_by_level": (
        "Each generator at the budget in the legend: the common one, or its largest where it does not have "
        "that. Bars are intervals over the problems of the level."
    ),
    "search_easy_hard": (
        "Easy problems are those of levels 1 and 2, hard ones those of level 3 and above, pooled by their "
        "numbers of problems; compute is that of these problems. Bands are intervals over problems, the "
        "levels' combined."
    ),
    "search_trees": (
        "One search of each generator at its smallest budget, by the middle-sized model: a legible one with "
        "right and wrong solutions where there is one. Each dot is a step, its colour the guiding "
        "verifier's score."
    ),
    "verifiers": (
        "The same samples and selector, scored in different ways: by each verifier, with its step scores "
        "made one score by the last, the least, the product or the mean of them."
    ),
    "calibration": (
        "Samples by rising score, in up to ten bins of as many samples each; equal scores share a bin. A "
        "mark is the mean score of a bin and the share of right solutions in it, its bar the interval of "
        "that share over problems. On the dotted line a score is the chance to be right. Where a bar does "
        "not reach the line, the verifier is too doubtful (above) or too sure (below). Step scores are made "
        "one as in the headline. Scores outside 0 to 1 are no chances and are not drawn."
    ),
    "revision_chain": (
        "Every answer after the first is written with earlier ones in view. Above, the share of right "
        "answers at each place of the chains that reach it; first answers are parallel samples. Below, at "
        "the place of a revision, the share of right answers that it turns wrong and of wrong ones that it "
        "turns right."
    ),
    "revision_sequential": (
        "Sequential: at each number of answers the longest chains that make it up, one alone up to the "
        "chains' length. Parallel: as many first answers. Under a verifier each chain is represented by its "
        "best answer, and the representatives are picked from; majority is over all answers."
    ),
    "revision_ratio": (
        "Every line spends one number of answers, on many short chains at the left and few long ones at the "
        "right: 4:1 is the length of the chains over their number. Marks of one ratio are set apart."
    ),
    "revision_ratio_by_bin": (
        "Bins are quantiles of how often the policy's first answers or samples are right, those that are "
        "not measured in the bin. The number of answers is the largest that is measured at three ratios or "
        "more. Marks of one ratio are set apart."
    ),
    "revision_verifiers": (
        "The same chains, the longest at each number of answers, under different verifiers: those that see "
        "the answers before, and those that see the one they judge alone."
    ),
    "compute_optimal": (
        "At each number of samples, one strategy for all problems against the best one per bin, chosen on "
        "half of the bin's problems and measured on the other. The first choice is a single one for all "
        "problems: only what the others gain beyond it comes from difficulty. Chains of revisions are "
        "chosen between by their length, the baseline being parallel samples. The band is the interval of "
        "the choice by oracle difficulty; telling difficulty is not charged here, but in the table. Dotted "
        "lines are where the baseline comes within a point of its best: where pools are halved, at another "
        "number than where they are whole. Gains are in the table; the grey line is the baseline of whole "
        "pools."
    ),
    "choice_gain": (
        "Accuracy of the strategy chosen per bin of difficulty minus that of the baseline at the same "
        "number of samples, with its paired interval: a bar whose interval holds 0 shows no gain. Telling "
        "difficulty is not charged here."
    ),
    "accuracy_by_bin": (
        "Bins are quantiles of how often the policy's samples are right, those that are not measured in the "
        "bin. Within a bin the number of samples rises from left to right; a strategy that has none of "
        "these numbers is left out. Whether best-of-n falls is tested in the headline, not here."
    ),
    "exchange": (
        "Accuracy of the small model with test-time compute minus that of the larger one's greedy answers, "
        "at compute that is equal, training included: under wu2024 in generated tokens, as in the paper, "
        "under total with prompts and the verifier's reading paid from it. Above 0 the small model is ahead "
        "where the interval leaves 0 out. R is tokens of inference over tokens of pretraining. Bins are "
        "told by both models where the larger one has samples. Hatched: the small model was measured up to "
        "less compute than it may spend. Each interval is its own: of twenty, one leaves 0 out where "
        "nothing differs."
    ),
    "exchange_curves": (
        "The small model's compute-optimal choice in every bin of the pair, over the compute per problem "
        "that it may spend. Vertical lines are what each R lets it spend, R being tokens of inference over "
        "tokens of pretraining; a star there is the larger model's greedy accuracy on the same problems. "
        "Where the curve passes above a star, the small model was measured as more accurate at that R; the "
        "intervals of these differences are in the figure before. A star to the right of a curve's end is "
        "beyond what was measured. Stars of one R are set apart."
    ),
}
