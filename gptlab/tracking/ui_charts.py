"""The first charts of a run's page: its loss and its metrics, each with training and held-out documents in one.

MLflow makes a chart of each metric by itself, in a section for what its name begins with: `train/accuracy` and
`val/accuracy` lie pages apart. The charts of a run are kept in the browser. Where that has none yet it is given these,
below which MLflow adds its own; what a person changes stays.
"""

from gptlab import strict_json
from gptlab.training.named_metrics import NO_METRICS
from gptlab.training.smoothing import SMOOTHED

SECTION = "curves"  # sections are sorted by their names
# The names are those of MLflow 3.17; to another version they would say nothing, and do no harm.
SETTINGS = {
    "section": SECTION,
    "others": "Model metrics",
    "kept": "^MLflowLocalStorage-1\\.1-RunPage-(\\w+)-model-chartUIState$",
    "run": "ajax-api/2.0/mlflow/runs/get?run_id=",
    "noMetrics": NO_METRICS,
    "loss": SMOOTHED,
    "early": "gptlabEarly",
    "ours": "train.numSteps",  # a parameter that every run of gptlab's has
}

SCRIPT = f"{{\n  const told = {strict_json.dumps(SETTINGS)};"
SCRIPT += """
  const runOf = id => {
    const request = new XMLHttpRequest();
    request.open("GET", told.run + id, false);  // waited for: who asks what the browser keeps, goes on with that
    request.send();
    return JSON.parse(request.responseText).run;
  };

  // Before the first evaluation the run has no more than its training loss; what it will have is known in part.
  const namesOf = ({info, data: {metrics = [], params = []}}) => {
    const names = metrics.map(metric => metric.key);
    const param = name => params.find(param => param.key === name)?.value;
    const early = info.status === "RUNNING" && !names.includes("val/loss");
    if (!early || !param(told.ours)) return {names, early};
    const asked = JSON.parse(param("metrics") || "[]") ?? [];
    const expected = asked.flatMap(one => [`val/${one.name ?? one}`, ...(one.train ? [`train/${one.name}`] : [])]);
    return {names: [told.loss, "val/loss", ...names, ...expected], early};
  };

  const chart = (name, keys) => ({
    type: "LINE", uuid: `gptlab-${name}`, metricSectionId: "gptlab", isGenerated: false, deleted: false,
    displayName: name, metricKey: "", selectedMetricKeys: keys, runsCountToCompare: 10,
    lineSmoothness: 0, xAxisScaleType: "linear", scaleType: "linear", range: {}, xAxisKey: "step",
    selectedXAxisMetricKey: "", yAxisKey: "metric", yAxisExpressions: [], ignoreOutliers: false,
    useGlobalXaxisKey: true, useGlobalLineSmoothing: true,
  });

  const section = (uuid, name) => ({uuid, name, display: true, isReordered: false, deleted: false, isGenerated: true});

  const chartsOf = ({names, early}) => {
    if (!names.includes(told.loss)) return null;  // no run of gptlab's
    const pairs = [...new Set(names)].map(name => name.split("/")).filter(parts => parts.length === 2);
    const further = pairs.filter(([set, of]) => of === "loss" && !["train", "val"].includes(set)).map(([set]) => set);
    const metrics = pairs.filter(([set, of]) => set === "val" && !told.noMetrics.includes(of)).map(([, of]) => of);
    const of = (metric, sets) => sets.map(set => `${set}/${metric}`).filter(name => names.includes(name));
    return {
      [told.early]: early,  // it is kept with the rest, and the charts are made anew the next time
      isAccordionReordered: false,
      compareRunCharts: [
        chart("loss", [told.loss, ...of("loss", ["val", ...further])]),
        ...metrics.map(metric => chart(metric, of(metric, ["train", "val", ...further]))),
      ],
      compareRunSections: [section("gptlab", told.section), section("gptlab-others", told.others)],
      autoRefreshEnabled: true,
      globalLineChartConfig: {xAxisKey: "step", lineSmoothness: 0, selectedXAxisMetricKey: ""},
    };
  };

  const getItem = Storage.prototype.getItem;
  Storage.prototype.getItem = function (name) {
    const found = getItem.call(this, name);
    const run = String(name).match(told.kept);
    if (!run || (found !== null && !found.includes(`"${told.early}":true`))) return found;
    try {
      const charts = chartsOf(namesOf(runOf(run[1])));
      return charts ? JSON.stringify(charts) : found;
    } catch (error) {
      return found;  // the page does as it would without
    }
  };
}"""
