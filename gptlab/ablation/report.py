def terminal(a):
    return (
        "\n".join(
            f"{x.name}: {x.comparison} {x.setting.costs} {[r.folder for r in x.setting.runs][:2]}"
            for x in a.arms
        )
        + "\n"
        + "\n".join(a.notes)
    )


def shown_in_mlflow(a, files):
    return {"tags": {}, "metrics": {}}


def write_report(a, folder):
    return []
