"""What other programs call things that have another name here: nanoGPT, PyTorch, Hugging Face, Lightning.

Compared without capitals and signs: `n_embd`, `nEmbd` and `--n-embd` are one word.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

# The key here: what it is called elsewhere. Of several keys with one word, the first that a verb has is meant.
KEYS = {
    "model.nEmbd": "n_embed d_model hidden_size hidden_dim embed_dim embedding_dim embedding_size emb_dim dim width",
    "model.nLayer": "n_layers num_layers num_hidden_layers layers depth",
    "model.nHead": "n_heads num_heads num_attention_heads heads",
    "model.headDim": "d_head head_size",
    "model.blockSize": "context_length context_size context n_ctx n_positions seq_len seq_length sequence_length "
    "max_len max_length max_seq_len max_seq_length max_position_embeddings",
    "model.initStd": "initializer_range init_range",
    "model.tieEmbeddings": "tie_word_embeddings tie_weights weight_tying",
    "model.dropout": "dropout resid_dropout embd_pdrop resid_pdrop attn_pdrop attention_dropout hidden_dropout_prob",
    "model.finalNorm": "ln_f",
    "model.bias": "bias use_bias",
    "model.attention.nKVHead": "n_kv_heads num_kv_heads num_key_value_heads kv_heads",
    "model.mlp.expansion": "mlp_ratio ffn_mult expansion_factor",
    "model.norm.eps": "norm_eps rms_norm_eps layer_norm_eps layer_norm_epsilon",
    "model.position.base": "rope_theta rope_base theta",
    "train.numSteps": "max_iters max_steps num_iters num_iterations iterations iters steps n_steps total_steps "
    "training_steps train_steps num_train_steps",
    "train.batchSize": "batch bs train_batch_size micro_batch_size per_device_train_batch_size",
    "train.accumulate": "gradient_accumulation_steps grad_accum_steps accumulate_grad_batches",
    "train.learningRate": "lr max_lr base_lr peak_lr step_size",
    "train.logEvery": "log_interval log_steps logging_steps log_every_n_steps",
    "train.evalEvery": "eval_interval eval_steps eval_freq val_interval val_every val_check_interval",
    "train.freeze": "frozen freeze_layers freeze_weights",
    "train.average": "ema ema_decay use_ema model_ema swa",
    "checkpoint.every": "save_every save_steps save_interval checkpoint_every checkpoint_interval ckpt_interval",
    "checkpoint.keep": "save_total_limit save_top_k",
    "model.adapter.rank": "lora_rank lora_r",
    "model.adapter.alpha": "lora_alpha",
    "samples.n": "sample_count",
    "optimizer.beta1": "adam_beta1",
    "optimizer.beta2": "adam_beta2",
    "optimizer.epsAdam": "eps epsilon adam_eps adam_epsilon",
    "optimizer.weightDecay": "wd l2",
    "optimizer.clip": "clip grad_clip clip_grad clip_norm max_grad_norm gradient_clip_val gradient_clipping",
    "schedule.warmup": "warmup_iters warmup_steps num_warmup_steps lr_warmup_steps",
    "seed": "random_seed manual_seed rng_seed",
    "data.path": "data_path data_dir data_file dataset_path train_file train_data input_file text_file corpus file",
    "data.valFraction": "val_split val_ratio val_size validation_split validation_fraction test_size eval_fraction",
    "data.unit": "line_by_line",
    "engine.dtype": "precision torch_dtype data_type",
    "tracking.uri": "tracking_uri mlflow_uri mlflow_tracking_uri",
    "tracking.experimentName": "mlflow_experiment experiment_name project wandb_project",
    "register": "registered_model_name",
    "initFrom": "pretrained finetune_from load_from load pretrained_model_name_or_path",
    "resume": "resume_from resume_from_checkpoint auto_resume",
    "description": "notes comment name run_name wandb_run_name",
    "hydra.run.dir": "out_dir output_dir out save_dir run_dir log_dir",
    "run": "model_path checkpoint checkpoint_path ckpt ckpt_path out_dir model",
    "n": "num_samples n_samples num_return_sequences count samples",
    "length": "max_new_tokens max_tokens num_tokens n_predict",
    "promptFile": "prompt_file prompts prompts_file",
    "temperature": "temp",
    "repetitionPenalty": "repetition_penalty rep_pen",
    "sampler.share": "min_p minp",
    "prompt": "start prefix text input input_text",
    "text": "prompt start input",
    "output": "out file filename output_file path",
    "port": "p",
}

# The group here: what the choice is called elsewhere.
GROUPS = {
    "optimizer": "optim optimizer_name optimizer_type",
    "schedule": "scheduler lr_schedule lr_scheduler lr_scheduler_type",
    "data": "dataset dataset_name",
    "tokenizer": "tokenizer_name tokenizer_type",
    "engine": "backend",
    "tracking": "logger report_to",
    "model/activation": "activation act act_fn hidden_act activation_function nonlinearity",
    "model/norm": "norm normalization norm_type norm_layer",
    "model/position": "position pos_emb positional_encoding position_embedding_type pos_encoding",
    "model/attention": "attention attn attention_type",
    "model/mlp": "mlp ffn",
    "model/block": "block",
    "model/init": "init initialization weight_init initializer init_type",
}

# What is not here, and what there is in its place.
ABSENT = {
    "vocab_size n_vocab": (
        "the vocabulary comes from the tokenizer and its data. For characters, type tokenizer=char"
    ),
    "epoch epochs n_epochs num_epochs max_epochs num_train_epochs": (
        "training is counted in steps, of train.batchSize documents each. Type train.numSteps=1000"
    ),
    "device devices cuda gpu gpus accelerator use_cuda use_gpu no_cuda n_gpu": (
        "the engine uses a GPU if JAX finds one; JAX_PLATFORMS=cuda in front of the command insists on it, and "
        "JAX_PLATFORMS=cpu keeps to the CPU."
    ),
    "gradient_checkpointing activation_checkpointing": (
        "activations are never recomputed; fewer documents at once need less memory. Type train.batchSize=1"
    ),
    "eval_iters eval_batches limit_val_batches": (
        "every held-out document is evaluated; set the share that is held out. Type data.valFraction=0.1"
    ),
    "early_stopping early_stopping_patience patience": (
        "training goes on to its last step, and the checkpoint with the lowest held-out loss is kept beside the "
        "newest. Type train.evalEvery=100"
    ),
    "wandb wandb_log tensorboard": "runs are logged to MLflow, or to their own folder only. Type tracking=none",
    "min_lr lr_decay_iters decay_lr": (
        "the schedule sets how the rate changes. Type schedule=cosine schedule.final=0.1"
    ),
    "betas": "each beta has its key. Type optimizer.beta1=0.9 optimizer.beta2=0.95",
    "intermediate_size n_inner d_ff d_mlp ffn_dim dim_feedforward": (
        "the width of an mlp is a multiple of the model's. Type model.mlp.expansion=4"
    ),
    "compile torch_compile jit": "engine=xla always compiles; engine=scalar never does.",
    "num_workers dataloader_num_workers": "data is read in the same process.",
    "do_sample greedy": "at temperature 0 the likeliest token is taken each time: generate temperature=0",
    "fp16 bf16 amp mixed_precision": "matrix products can be bfloat16. Type engine.dtype=bfloat16",
}

RUN = r"latest|[0-9a-f]{32}|(?:models|mlflow-artifacts|runs):?/.*|.*\.(?:json|safetensors)|hf:.*"


class Values(NamedTuple):
    """The values that a key takes, as a pattern; one that it always takes, and the reason that another is refused.

    also: what it is called elsewhere: {"64": "float64"}.
    """

    pattern: str
    example: str
    reason: str
    also: Mapping[str, str] = MappingProxyType({})


VALUES = {
    "engine.dtype": Values(
        "float32|float64|bfloat16",
        "float32",
        "numbers are float32 or float64; matrix products can be bfloat16",
        MappingProxyType(
            dict.fromkeys(("64", "fp64", "f64", "double", "64true"), "float64")
            | dict.fromkeys(("bf16",), "bfloat16")
        ),
    ),
    "initFrom": Values(
        RUN,
        "latest",
        "initFrom names a gptlab run, a file of its weights, or hf:FOLDER, as transformers writes it",
    ),
    "resume": Values(RUN, "latest", "resume names a gptlab run"),
    "train.freeze": Values(r"\[.+\]", "[layers]", "train.freeze names the weights that stay as they are"),
}

# The choice here, by its group: what it is called elsewhere.
CHOICES = {
    "engine": {"xla": "jax torch pytorch tensorflow cuda gpu tpu mps cpu", "scalar": "python micrograd"},
    "tracking": {"none": "off false no disabled null", "mlflow": "on true yes wandb tensorboard"},
    "model/activation": {"gelu": "gelu_new gelu_fast gelu_pytorch_tanh quick_gelu", "silu": "swish"},
    "model/norm": {"rmsnorm": "rms", "layernorm": "ln"},
    "model/position": {"learned": "absolute", "rope": "rotary"},
    "optimizer": {"adamw": "adamw_torch adamw_hf adamw_torch_fused"},
}

# What is to be known of a group's choices.
OF_GROUPS = {
    "engine": "engine=xla uses a GPU if JAX finds one; JAX_PLATFORMS=cuda in front of the command insists on it",
    "tracking": "runs are logged to MLflow, or to their own folder only",
    "data": "to train on a text of your own: data=text data.path=FILE",
}

# What is typed for a verb, and the whole command that does it.
COMMANDS = {
    "help": "python -m gptlab --help",
    "version": "python -m gptlab --version",
    "list ls experiments show info menu": "python -m gptlab",
    "run start fit begin": "python -m gptlab +experiment=tiny",
    "sweep multirun grid search": "python -m gptlab -m +experiment=tiny seed=0,1",
    "resume continue": "python -m gptlab resume=latest",
    "finetune tune": "python -m gptlab +experiment=questions initFrom=latest",
    "sample predict infer complete chat": "python -m gptlab generate",
    "plot diff": "python -m gptlab compare",
    "serve server mlflow dashboard browse web": "python -m gptlab ui",
    "test verify doctor": "python -m gptlab check",
    "config cfg": "python -m gptlab --cfg job",
    "params parameters count size describe": "python -m gptlab summary +experiment=tiny",
    "save": "python -m gptlab export",
    "load": "python -m gptlab import",
    "upload push send": "python -m gptlab sync",
    "plugin components names": "python -m gptlab plugins",
}


def folded(word: str) -> str:
    """Without capitals and signs: `nembd` for `n_embd`."""
    return "".join(sign for sign in word.lower() if sign.isalnum())


def named_so(word: str, table: Mapping[str, str]) -> list[str]:
    """The keys of a table that have this word among theirs."""
    return [key for key, words in table.items() if folded(word) in map(folded, words.split())]


def said_of(word: str, table: Mapping[str, str]) -> str:
    """What a table whose keys are words has for this one; empty if nothing."""
    return next((said for words, said in table.items() if folded(word) in map(folded, words.split())), "")


def choice_for(group: str, word: str) -> str:
    """The choice of a group that a word stands for; empty if none does."""
    return next(iter(named_so(word, CHOICES.get(group, {}))), "")
