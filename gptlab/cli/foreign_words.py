"""What other programs call things that have another name here: nanoGPT, PyTorch, Hugging Face, Lightning.

Compared without capitals and signs: `n_embd`, `nEmbd` and `--n-embd` are one word.
"""

from __future__ import annotations

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
    "model.finalNorm": "ln_f",
    "model.attention.nKVHead": "n_kv_heads num_kv_heads num_key_value_heads kv_heads",
    "model.mlp.expansion": "mlp_ratio ffn_mult expansion_factor",
    "model.norm.eps": "norm_eps rms_norm_eps layer_norm_eps layer_norm_epsilon",
    "model.position.base": "rope_theta rope_base theta",
    "train.numSteps": "max_iters max_steps num_iters num_iterations iterations iters steps n_steps total_steps "
    "training_steps train_steps num_train_steps",
    "train.batchSize": "batch bs train_batch_size micro_batch_size per_device_train_batch_size",
    "train.learningRate": "lr max_lr base_lr peak_lr step_size",
    "train.logEvery": "log_interval log_steps logging_steps log_every_n_steps",
    "train.evalEvery": "eval_interval eval_steps eval_freq val_interval val_every val_check_interval",
    "train.freeze": "frozen freeze_layers",
    "checkpoint.every": "save_every save_steps save_interval checkpoint_every checkpoint_interval ckpt_interval",
    "checkpoint.keep": "save_total_limit save_top_k",
    "samples.n": "sample_count",
    "optimizer.beta1": "adam_beta1",
    "optimizer.beta2": "adam_beta2",
    "optimizer.epsAdam": "eps epsilon adam_eps adam_epsilon",
    "optimizer.weightDecay": "wd l2",
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
    "temperature": "temp",
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
}

# What is not here, and what there is in its place.
ABSENT = {
    "dropout resid_dropout embd_pdrop resid_pdrop attn_pdrop attention_dropout hidden_dropout_prob": (
        "there is no dropout; weights are held small by optimizer=adamw optimizer.weightDecay=0.1."
    ),
    "vocab_size n_vocab": "the vocabulary comes from the tokenizer and its data: tokenizer=char for characters.",
    "epoch epochs n_epochs num_epochs max_epochs num_train_epochs": (
        "training is counted in steps, of train.batchSize documents each: train.numSteps=1000."
    ),
    "device devices cuda gpu gpus accelerator use_cuda no_cuda": (
        "the engine computes on what JAX finds. The variable JAX_PLATFORMS=cpu in front of the command chooses; "
        "engine=scalar computes in Python."
    ),
    "bias use_bias": "no component has biases.",
    "clip grad_clip clip_grad clip_norm max_grad_norm gradient_clip_val gradient_clipping": (
        "gradients are not clipped; a lower rate helps: train.learningRate=0.003."
    ),
    "gradient_accumulation_steps grad_accum_steps accumulate_grad_batches": (
        "a step takes all its documents at once: train.batchSize=16."
    ),
    "eval_iters eval_batches limit_val_batches": (
        "all that is held out is evaluated; how much that is: data.valFraction=0.02."
    ),
    "wandb wandb_log tensorboard": "runs are logged to MLflow, or to their folder alone: tracking=none.",
    "min_lr lr_decay_iters decay_lr": "what becomes of the rate is the schedule's: schedule=cosine schedule.final=0.1.",
    "compile torch_compile jit": "engine=xla always compiles; engine=scalar never does.",
    "num_workers dataloader_num_workers": "data is read in the same process.",
    "max_new_tokens max_tokens length": "a sample ends where the model ends it, or at the model's blockSize.",
    "do_sample greedy": "temperature=0 takes the likeliest token each time.",
    "fp16 bf16 amp mixed_precision": "numbers are float32 or float64: engine.dtype=float64.",
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
    "upload push sync": "python -m gptlab send",
    "plugin components names": "python -m gptlab plugins",
}


def folded(word: str) -> str:
    """Without capitals and signs: `nembd` for `n_embd`."""
    return "".join(sign for sign in word.lower() if sign.isalnum())


def by_word(table: dict[str, str]) -> dict[str, list[str]]:
    """Each word, folded, with the rows that have it."""
    found: dict[str, list[str]] = {}
    for key, words in table.items():
        for word in words.split():
            found.setdefault(folded(word), []).append(key)
    return found


def absent(word: str) -> str:
    """What is said of a thing that is not here; empty for any other word."""
    return next((said for words, said in ABSENT.items() if folded(word) in map(folded, words.split())), "")


def command_for(word: str) -> str:
    """The command that a word stands for; empty if none does."""
    found = (command for words, command in COMMANDS.items() if folded(word) in words.split())
    return next(found, "")
