"""The shipped models' tokenizer: one token per word or digit, leading space included.

A word is the same token wherever it stands: a space is put before the first word of a line on the way
in and taken away on the way out. Small models copy names far sooner when a name has one token, not two.
"""

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from isoflop.data.word_problems import vocabulary

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A lossless tokenizer for everything `wordproblems` can say; prepends `<s>`, as Llama's does."""
    pieces = [*SPECIAL, *vocabulary()]
    tokenizer = Tokenizer(
        models.WordLevel({piece: index for index, piece in enumerate(pieces)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n| ?\p{L}+| ?\d| ?[^\s\p{L}\d]| "), "isolated")
    tokenizer.normalizer = normalizers.Replace(Regex(r"(?m)^(?=\S)"), " ")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Fuse(), decoders.Replace("\n ", "\n"), decoders.Strip(" ", 1, 0)]
    )
    bos = pieces.index("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
