"""Models that the export to TransformerLens takes, as they are typed; each part that it knows is in one of them."""

from tests.exchange.huggingface_folders import GPT2, LLAMA, SMALL

FITTING = ["model.embeddingNorm=false", "model.finalNorm=true", *SMALL]
MODELS = {
    "llama": [*LLAMA, "model.attention.nKVHead=1", "model.norm.eps=1e-3", "model.position.base=500"],
    "gpt2": [*GPT2, "model.mlp.expansion=2"],
    "untied": [*GPT2, "model.tieEmbeddings=false", "model/activation=silu", "model.headDim=6"],
    "rope with biases": [*GPT2, "model/position=rope", "model.attention.nKVHead=1"],
    "plain": [*FITTING, "model/position=none", "model.softCap=3"],
    "attention alone": [*SMALL, "model.embeddingNorm=false", "model/norm=none", "model/mlp=none"],
}
