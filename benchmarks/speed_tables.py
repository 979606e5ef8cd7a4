"""Tables of ``docs/speed.md``."""

from cells import read_lines, spread, table


def extraction(dtype: str, has: str = "", lacks: str = "") -> str:
    """Each peer's seconds over layerfuse's in one precision, case by case.

    Only lines of processors count that have one instruction and lack another.
    """
    cases = [
        line
        for line in read_lines("extraction", ("backbone", "data", "processor"))
        if not has or has in line["processor"]["instructions"]
        if not lacks or lacks not in line["processor"]["instructions"]
    ]
    own = f"layerfuse {dtype}"
    peers = list(
        dict.fromkeys(
            name
            for line in cases
            for name in line[f"over_layerfuse_{dtype}"]
            if name != own and not (dtype == "fp32" and name.endswith("bf16"))
        )
    )
    headers = ["backbone, data", f"{own}, s", *peers, "over the floor"]
    rows = [
        [
            f"{line['backbone']}, {line['n_texts']:,} of {line['data'].upper()}",
            spread(line["seconds"][own], 1),
            *[spread(line[f"over_layerfuse_{dtype}"].get(peer)) or "n/a" for peer in peers],
            spread(line["over_floor"][dtype]),
        ]
        for line in cases
    ]
    return table(headers, rows)


def precision() -> str:
    """Compare bfloat16 with float32, case by case."""
    rows = [
        [
            f"{line['backbone']}, {line['data'].upper()}",
            f"{line['lowest_cosine']:.5f}",
            *[
                f"{line[name]['float32']:.1f} / {line[name]['bfloat16']:.1f}"
                for name in ("best layer", "upper half")
            ],
            *[f"{line[name]['agreement']:.1f}" for name in ("best layer", "upper half")],
        ]
        for line in read_lines("precision", ("backbone", "data"))
    ]
    headers = ["backbone, data", "lowest cosine", "best layer, fp32 / bf16"]
    headers += ["upper half, fp32 / bf16", "same predictions, best layer", "upper half"]
    return table(headers, rows)


def memory() -> str:
    """Memory of extraction above the loaded model."""
    rows = [
        [
            f"{line['backbone']}, {line['n_texts']:,} of {line['data'].upper()}",
            line["dtype"],
            f"{line['loaded_mib'][0]:.0f}",
            spread(line["extra_mib"], 0),
        ]
        for line in read_lines("memory", ("backbone", "data", "dtype", "n_texts"))
    ]
    return table(["backbone, data", "dtype", "loaded, MiB", "extraction above it, MiB"], rows)


def engines() -> str:
    """Seconds of torch, torch.compile and OpenVINO on the same batches."""
    rows = [
        [
            f"{line['backbone']}, {line['n_texts']:,} of {line['data'].upper()}",
            name.replace(" float32", ", fp32").replace(" bfloat16", ", bf16"),
            spread(seconds, 1),
            spread(line["over_torch"][name]),
            f"{line['seconds_until_ready'][name]:.0f}",
            f"{line['lowest_cosine'][name]:.5f}",
        ]
        for line in read_lines("engines", ("backbone", "data"))
        for name, seconds in line["seconds"].items()
    ]
    headers = ["backbone, data", "engine", "seconds", "over torch's", "until ready, s"]
    return table([*headers, "lowest cosine"], rows)


def half_depth() -> str:
    """Compare one backbone cut at half its blocks with itself whole."""
    rows = [
        [
            f"{line['backbone']}, {line['data'].upper()}",
            "{1} of {0}".format(*line["blocks"]),
            spread(line["throughput_ratio"]),
            f"{line['latency_ratio_p50']:.2f}",
            "{whole:.1f} / {cut:.1f}".format(**line["latency_ms_p50"]),
            "{:.1f} / {:.1f}".format(*[n / 1e6 for n in line["parameters"]]),
        ]
        for line in read_lines("half depth", ("backbone", "data"))
    ]
    headers = ["backbone, data", "blocks", "throughput, times", "latency of one text, times"]
    headers += ["latency whole / cut, ms", "parameters whole / cut, millions"]
    return table(headers, rows)


def prediction() -> str:
    """Costs of prediction by a fused classifier, cut and uncut."""
    rows = [
        [
            f"{' + '.join(line['backbones'])}, {line['n_texts']:,} of {line['data'].upper()}",
            str(len(line["selection"])),
            *[spread(line["seconds"][way], 1) for way in ("whole", "cut")],
            spread(line["throughput_ratio"]),
            *[
                "{:.0f} / {:.0f}".format(*line["latency_ms_p50_p95"][way])
                for way in ("whole", "cut")
            ],
            "{:.0f} / {:.0f}".format(*[n / 1e6 for n in line["parameters"]]),
        ]
        for line in read_lines("prediction", ("backbones", "data"))
    ]
    headers = ["backbones, texts", "layers", "whole, s", "cut, s", "ratio"]
    headers += ["one text whole, ms p50 / p95", "one text cut", "parameters, millions"]
    return table(headers, rows)


def fitting() -> str:
    """Seconds of fit without a cache, against embedding and a logistic regression."""
    rows = [
        [
            f"{' + '.join(line['backbones'])}, {line['n_texts']:,} of {line['data'].upper()}",
            spread(line["seconds"]["layerfuse"], 1),
            spread(line["seconds"]["sentence-transformers"], 1),
            spread(line["ratio"]),
        ]
        for line in read_lines("fit from nothing", ("backbones", "data"))
    ]
    return table(["backbones, texts", "layerfuse, s", "the other way, s", "ratio"], rows)


def scaling() -> str:
    """Time and memory of fit by number of texts."""
    lines = read_lines("scaling", ("backbone", "data", "n_texts"))
    stages = list(lines[-1]["stage_seconds"]) if lines else []
    rows = [
        [
            f"{line['n_texts']:,}",
            f"{line['fit_seconds']:.1f}",
            *[f"{line['stage_seconds'][stage]:.1f}" for stage in stages],
            str(line["fit_extra_memory_mib"]),
        ]
        for line in lines
    ]
    names = [stage.replace("lexical", "TF-IDF") for stage in stages]  # as earlier lines call it
    return table(["texts", "fit, s", *[f"{name}, s" for name in names], "memory, MiB"], rows)


def endless() -> str:
    """Resident memory while texts stream."""
    rows = [
        [
            f"{line['n_texts']:,}",
            f"{line['texts_per_second']:,}",
            ", ".join(map(str, line["resident_mib"])),
        ]
        for line in read_lines("endless", ("n_texts",))
    ]
    return table(["texts", "texts a second", "resident memory, MiB"], rows)


def kernels() -> str:
    """Compare float32 products, on all texts and on single ones."""
    rows = [
        [
            f"{line['backbone']}, {line['n_texts']:,} of {line['data'].upper()}",
            *[
                cell
                for kind, unit in (("all", "seconds"), ("single", "single_ms"))
                for cell in (
                    spread(line[unit]["onednn"], 1),
                    *[spread(line[f"{kind}_over_onednn"][way]) for way in ("torch", "packed")],
                )
            ],
        ]
        for line in read_lines("kernels", ("backbone", "data"))
    ]
    headers = ["backbone, data", "oneDNN, s", "torch", "packed"]
    return table([*headers, "one text, oneDNN, ms", "torch", "packed"], rows)
