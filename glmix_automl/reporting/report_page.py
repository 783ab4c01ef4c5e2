"""The page of a report: its style and its template."""

STYLE = """
:root { color-scheme: light dark; --page: #fbfbfa; --card: #ffffff; --ink: #1d1f23; --quiet: #6b7078; --rule: #e4e5e7;
  --good: #157a4a; --bad: #b3372f; --series-0: #2f6fdb; --series-1: #d9730d; --series-2: #0f8f6a; --series-3: #b8418f;
  --series-4: #7453cf; --series-5: #86700a; }
@media (prefers-color-scheme: dark) { :root { --page: #16181c; --card: #1e2126; --ink: #e8e9eb; --quiet: #9aa0a8;
  --rule: #343940; --good: #54c990; --bad: #f08a80; --series-0: #72a9ff; --series-1: #ffad5c; --series-2: #4fcfa6;
  --series-3: #f28bcb; --series-4: #b39bff; --series-5: #d8c04e; } }
* { box-sizing: border-box } body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main { max-width: 1160px; margin: 0 auto; padding: 32px 24px 64px }
h1 { font-size: 26px; margin: 0 } h2 { font-size: 18px; margin: 40px 0 10px } h3 { font-size: 14px; margin: 14px 0 4px }
.quiet { color: var(--quiet) } .card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 16px 18px; overflow-x: auto }
.facts { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 } .facts div { flex: 1 1 150px }
.facts b { display: block; font-size: 22px; font-variant-numeric: tabular-nums } .facts .card { padding: 12px 16px }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums }
th { text-align: left; color: var(--quiet); font-weight: 500; white-space: nowrap; vertical-align: bottom }
th, td { padding: 6px 8px; border-bottom: 1px solid var(--rule) } tr:last-child td { border-bottom: 0 }
.r { text-align: right; white-space: nowrap } tr.winner td { font-weight: 600 } .words { min-width: 170px }
.gain { color: var(--good) } .loss { color: var(--bad) } svg { width: 100%; height: auto; display: block }
svg .grid { stroke: var(--rule); stroke-width: 1 } svg .axis { stroke: var(--quiet); stroke-width: 1 }
svg text { fill: var(--quiet); font-size: 12px } svg .name { fill: var(--ink); font-size: 12.5px }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; margin-bottom: 8px }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px;
  vertical-align: -1px }
pre { white-space: pre-wrap; font-size: 12.5px; margin: 8px 0 } summary { cursor: pointer }
"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }}</title><style>{{ style|safe }}</style></head><body><main>
<h1>{{ name }}</h1>
<div class="quiet">dataset {{ record.dataset_name }} ({{ record.digest[:12] }}), seed {{ record.settings.seed }};
{{ reason }}; {{ written }}</div>
{% set w = board.winner %}
<div class="facts">
{% if w %}<div class="card"><span class="quiet">winner</span><b>{{ w.entry }}</b></div>
<div class="card"><span class="quiet">validation AUC</span><b>{{ w.validation_auc|number(5) }}</b></div>
<div class="card"><span class="quiet">test AUC</span><b>{{ w.test_auc|number(4) }}</b>
<span class="quiet">{{ w.test_low|number(4) }} to {{ w.test_high|number(4) }}</span></div>{% endif %}
<div class="card"><span class="quiet">trials</span><b>{{ history.results|length }}</b>
<span class="quiet">{{ failed|length }} failed</span></div>
<div class="card"><span class="quiet">worker time</span><b>{{ history.spent|seconds }}</b>
<span class="quiet">{% if utilisation %}{{ "%.0f"|format(100 * utilisation) }} % busy{% endif %}</span></div>
</div>
<h2>Leaderboard</h2>
<div class="card"><table><tr><th></th><th>entry</th><th>model</th><th class="r">trials</th><th class="r">steps</th>
<th class="r">training</th><th class="r">evaluation</th><th class="r">worker time</th>
<th class="r">validation<br>AUC</th><th class="r">test AUC<br>95 % interval</th>
<th class="r">member<br>AUC</th><th class="r">p against<br>winner</th></tr>
{% for row in board.rows %}<tr{% if loop.first %} class="winner"{% endif %}><td>{{ row.place }}</td>
<td>{{ row.entry }}</td><td class="words">{{ row.model }}</td><td class="r">{{ row.trials }}</td>
<td class="r">{{ "{:,}".format(row.steps) }}</td><td class="r">{{ row.train_seconds|seconds }}</td>
<td class="r">{{ row.eval_seconds|seconds }}</td><td class="r">{{ row.worker_seconds|seconds }}</td>
<td class="r">{{ row.validation_auc|number(5) }}</td>
<td class="r">{{ row.test_auc|number(4) }}<br><span class="quiet">{{ row.test_low|number(4) }} to
{{ row.test_high|number(4) }}</span></td><td class="r">{{ row.member_auc|number(4) }}</td>
<td class="r">{% if not loop.first %}{{ row.p_value|p }}{% endif %}</td></tr>{% endfor %}</table></div>
<p class="quiet">An entry that grows stands for the ensemble it accepted, any other for its trial of the best validation
AUC; the winner is the best of these by validation AUC. Test intervals and the paired
p-value are DeLong's{% if record %}, with the rows of a member taken together{% endif %}.
{% for entry in board.without_model %}{{ entry }}: no trial left a model. {% endfor %}</p>
{% for title, chart in charts.items() %}<h2>{{ title }}</h2><div class="card">{{ chart|safe }}</div>
{% if title == "AUC against cost" %}<p class="quiet">Bands: 95 % interval of the best model's validation AUC.
The best of many is flattered by the choice; the test column above is not.</p>{% endif %}{% endfor %}
{% macro slice_table(rows, kind) %}<div class="card"><table><tr><th>slice</th><th>value</th><th class="r">rows</th>
<th class="r">{{ versus }}<br>AUC</th><th class="r">winner<br>AUC</th><th class="r">gain<br>95 % interval</th>
<th class="r">calibration<br>{{ versus }}</th><th class="r">calibration<br>winner</th></tr>
{% for s in rows %}<tr><td>{{ s.subject }}</td><td>{{ s.value }}</td>
<td class="r">{{ "{:,}".format(s.gain.rows) }}</td><td class="r">{{ s.gain.first_auc.estimate|number(4) }}</td>
<td class="r">{{ s.gain.second_auc.estimate|number(4) }}</td>
<td class="r"><span class="{{ kind }}">{{ "%+.4f"|format(s.gain.gain.difference) }}</span><br><span class="quiet">
{{ "%+.4f"|format(s.gain.gain.low) }} to {{ "%+.4f"|format(s.gain.gain.high) }}</span></td>
<td class="r">{{ s.gain.first_calibration.estimate|number(3) }}<br><span class="quiet">
{{ s.gain.first_calibration.low|number(3) }} to {{ s.gain.first_calibration.high|number(3) }}</span></td>
<td class="r">{{ s.gain.second_calibration.estimate|number(3) }}<br><span class="quiet">
{{ s.gain.second_calibration.low|number(3) }} to {{ s.gain.second_calibration.high|number(3) }}</span></td></tr>
{% endfor %}</table></div>{% endmacro %}
{% if versus %}<h2>Where the winner gains on {{ versus }}</h2>
{% if gains %}{{ slice_table(gains, "gain") }}{% else %}<p class="quiet">In no slice.</p>{% endif %}
<h2>Where it loses</h2>
{% if losses %}{{ slice_table(losses, "loss") }}{% else %}<p class="quiet">In no slice of enough rows.</p>{% endif %}
<p class="quiet">Test rows. Calibration is expected over observed positives: 1 is right. Many slices are looked at, so
some gain or lose by chance: read the intervals with their number in mind.</p>{% endif %}
<h2>Trials</h2><div class="card"><table><tr><th class="r">trial</th><th>entry</th><th>family</th><th>parameters</th>
<th class="r">validation AUC</th><th class="r">epochs</th><th class="r">training</th><th class="r">worker time</th>
<th>state</th></tr>{% for row in trials %}<tr><td class="r">{{ row.trial.number }}</td><td>{{ row.trial.strategy }}</td>
<td>{{ row.trial.family }}</td><td class="words">{{ row.parameters }}</td>
<td class="r">{{ row.result.auc|number(5) }}</td>
<td class="r">{{ "%g"|format(row.trial.epochs) }}</td><td class="r">{{ row.result.costs.train_seconds|seconds }}</td>
<td class="r">{{ row.result.costs.worker_seconds|seconds }}</td><td>{{ row.result.state.value }}</td></tr>
{% endfor %}</table></div>
{% for row in failed %}<details><summary>trial {{ row.trial.number }} failed</summary><pre>{{ row.result.error }}</pre>
</details>{% endfor %}
<h2>Configuration</h2><details class="card"><summary>as resolved</summary><pre>{{ settings }}</pre></details>
</main></body></html>
"""
