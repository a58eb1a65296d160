"""The shipped models' tokenizer: one token per word or digit, leading space included."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from isoflop.wordproblems import vocabulary

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A lossless tokenizer for everything `wordproblems` can say; prepends `<s>`, as Llama's does."""
    pieces = [*SPECIAL, *vocabulary()]
    tokenizer = Tokenizer(models.WordLevel({piece: index for index, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n| ?\p{L}+| ?\d| ?[^\s\p{L}\d]| "), "isolated")
    tokenizer.decoder = decoders.Fuse()
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
