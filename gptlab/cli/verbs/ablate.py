HELP = "x"


def run(arguments):
    from gptlab.cli.reading import with_settings

    return with_settings(
        "ablate", arguments, lambda s, l: print(s.arms, s.tune, s.sizes, s.seeds, l.flags.overrides) or 0
    )
