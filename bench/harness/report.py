"""Tables for the terminal, a plot for everybody else."""
import html
import math

from .samples import NATIVE, Spread

COLOURS = {"vireo": "#1f77b4", "qemu": "#ff7f0e"}


def spread_text(spread):
    digits = 2 if spread.median < 10 else 1
    return f"{spread.median:8.{digits}f}  {f'({spread.low:.{digits}f}..{spread.high:.{digits}f})':16}"


def table(samples, machines):
    """One row a workload: native seconds, then each machine's time over native."""
    lines = [f"{'':18} {'native s':>9}" + "".join(f"  {m.label + ' ÷ native':26}" for m in machines)]
    for group, names in samples.groups().items():
        if group != "all":
            lines.append(group)
            for name in names:
                cells = "".join(f"  {spread_text(Spread.of(samples.ratios(m.key, name)))}" for m in machines)
                lines.append(f"  {name:16} {samples.seconds(NATIVE, name).median:9.3f}{cells}")
        cells = "".join(f"  {spread_text(samples.geomean(m.key, names))}" for m in machines)
        lines.append(f"  {'geomean ' + (group if group == 'all' else ''):26}{cells}")
    return "\n".join(line.rstrip() for line in lines)


def slower_than(samples, ours, theirs):
    """Names of workloads in which ours takes longer than theirs."""
    return [name for name in samples.names()
            if samples.seconds(ours, name).median > samples.seconds(theirs, name).median]


def plot(samples, machines, title):
    """Bars of time over native on a logarithmic axis, whiskers from the fastest to the slowest round; an SVG text."""
    rows = []  # (label, bold, {key: Spread})
    for group, names in samples.groups().items():
        if group != "all":
            rows += [(name, False, {m.key: Spread.of(samples.ratios(m.key, name)) for m in machines}) for name in names]
        label = "geomean" if group == "all" else f"{group}, geomean"
        rows.append((label, True, {m.key: samples.geomean(m.key, names) for m in machines}))

    values = [v for _, _, spreads in rows for s in spreads.values() for v in (s.low, s.high)]
    low = min(0.5, min(values) / 1.1)
    high = max(10.0, max(values) * 1.3)
    left, width, bar, top = 150, 620, 9, 64
    step = bar * len(machines) + 8
    height = top + step * len(rows) + 30

    def x(value):
        return left + width * (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 30}" height="{height}" '
           'font-family="sans-serif" font-size="11">',
           '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="{left}" y="18" font-size="14">{html.escape(title)}</text>']
    for n, machine in enumerate(machines):
        out.append(f'<rect x="{left + n * 150}" y="28" width="12" height="10" fill="{COLOURS[machine.key]}"/>'
                   f'<text x="{left + n * 150 + 17}" y="37">{html.escape(machine.label)}</text>')
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for factor in 1, 2, 5:
            tick = factor * 10.0**exponent
            if low <= tick <= high:
                out.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top - 8}" y2="{height - 24}" '
                           f'stroke="{"#444" if tick == 1 else "#ddd"}"/>'
                           f'<text x="{x(tick):.1f}" y="{height - 10}" text-anchor="middle">{tick:g}</text>')
    for n, (label, bold, spreads) in enumerate(rows):
        y = top + n * step
        weight = ' font-weight="bold"' if bold else ""
        out.append(f'<text x="{left - 8}" y="{y + step / 2}" text-anchor="end"{weight}>{html.escape(label)}</text>')
        for m, (key, spread) in enumerate(spreads.items()):
            start, end = sorted((x(1), x(spread.median)))
            middle = y + m * bar + bar / 2
            out.append(f'<rect x="{start:.1f}" y="{y + m * bar}" width="{max(end - start, 1):.1f}" height="{bar - 1}" '
                       f'fill="{COLOURS[key]}"><title>{html.escape(label)}: {spread.median:.2f} '
                       f'({spread.low:.2f}..{spread.high:.2f})</title></rect>'
                       f'<line x1="{x(spread.low):.1f}" x2="{x(spread.high):.1f}" y1="{middle}" y2="{middle}" '
                       'stroke="black" stroke-width="1"/>')
    out.append("</svg>\n")
    return "\n".join(out)
