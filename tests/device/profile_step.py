"""Where the time of a compiled step goes on the device, by part of the network and by operation."""

import collections
import glob
import os
import re
import shutil
import tempfile

_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = .*?metadata=\{([^}]*)\}", re.MULTILINE)
_TABLE = re.compile(r"^(\d+) (.*)$")


def profile(run, steps: int, compiled_text: str, top: int = 10) -> dict:
    """Runs `run()`, which does `steps` steps and waits for them, under JAX's profiler.

    Returns:
        `device_ms_per_step`; `parts`, the share of every part of the network; `operations`, the
        most expensive ones: operation, forward or backward, the project's line it comes from, its
        share, kernels per step and the most expensive kernel. Kernels that are not named after an
        operation of the program (those of libraries inside a CUDA graph) go by their own name.
    """
    import jax

    folder = tempfile.mkdtemp()
    try:
        with jax.profiler.trace(folder):
            run()
        files = glob.glob(os.path.join(folder, "**", "*.xplane.pb"), recursive=True)
        data = jax.profiler.ProfileData.from_file(files[0])
        return _summary(_kernels(data), steps, compiled_text, top)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kernels(data):
    """[(kernel, operation of the program or None, ns)] of everything that ran on the device."""
    gpu = [plane for plane in data.planes if plane.name.startswith("/device:GPU")]
    kernels = []
    for plane in gpu or data.planes:
        for line in plane.lines:
            if gpu and not line.name.startswith("Stream"):
                continue
            for event in line.events:
                operation = dict(event.stats).get("hlo_op")
                if gpu or operation:
                    kernels.append((event.name, operation, event.duration_ns))
    return kernels


def _summary(kernels, steps, text, top):
    origins = origins_of(text)
    by_kernel = {name.replace(".", "_").replace("-", "_"): name for name in origins}
    total = sum(kernel[2] for kernel in kernels) or 1
    parts, groups = collections.Counter(), {}
    for kernel, operation, duration in kernels:
        name = operation if operation in origins else by_kernel.get(kernel)
        if name is not None and name.split(".")[0] in ("while", "conditional", "call"):
            total -= duration  # holds others
            continue
        scope, part, line = origins.get(name, (kernel, "not told", ""))
        parts[part] += duration
        group = groups.setdefault((scope, line), [0, 0, collections.Counter()])
        group[0] += duration
        group[1] += 1
        group[2][kernel] += duration
    ordered = sorted(groups.items(), key=lambda item: -item[1][0])[:top]
    return {
        "device_ms_per_step": total / steps / 1e6,
        "kernels_per_step": len(kernels) / steps,
        "parts": {part: time / total for part, time in parts.most_common()},
        "operations": [
            {
                "operation": scope,
                "line": line,
                "share": time / total,
                "per_step": count / steps,
                "kernel": names.most_common(1)[0][0][:120],
            }
            for (scope, line), (time, count, names) in ordered
        ],
    }


def origins_of(text):
    """{instruction: (scope and direction, part, file:line in the project)} of an HLO module."""
    files, locations, frames = _tables(text)

    def line_of(frame):
        seen, own = 0, ""
        while frame > 0 and seen < 60:
            location, parent = frames.get(frame, (None, 0))
            file, line = locations.get(location, ("", 0))
            name = files.get(file, "")
            if "electra_tf" in name:
                return f"{name[name.rindex('electra_tf') :]}:{line}"
            if not own and "program.py" in name:
                own = f"program.py:{line}"
            frame, seen = parent, seen + 1
        return own

    origins = {}
    for match in _INSTRUCTION.finditer(text):
        metadata = match[2]
        name = re.search(r'op_name="([^"]*)"', metadata)
        frame = re.search(r"stack_frame_id=(\d+)", metadata)
        file = re.search(r'source_file="([^"]*)" source_line=(\d+)', metadata)
        line = line_of(int(frame[1])) if frame else ""
        if not line and file and "electra_tf" in file[1]:
            line = f"{file[1][file[1].rindex('electra_tf') :]}:{file[2]}"
        scope, part = _scope(name[1] if name else "", line)
        origins[match[1]] = (scope, part, line)
    return origins


def _scope(name, line):
    backward = "transpose(" in name
    name = re.sub(r"(transpose|jvp|vmap|checkpoint)\(", "(", name).replace("(", "").replace(")", "")
    words = [
        word
        for word in name.split("/")
        if word and not re.match(r"jit|while|body|cond|closed_call|branch_|custom_vjp", word)
    ]
    words = [re.sub(r"^layer_\d+$", "layer_*", word) for word in words]
    part = words[0] if len(words) > 1 else ""
    if part not in (
        "generator",
        "generator_head",
        "discriminator",
        "discriminator_head",
        "encoder",
        "head",
    ):
        part = {
            "program.py": "update",
            "electra_tf/models/randomness.py": "masks and samples",
        }.get(line.split(":")[0], "")
        if line.startswith("electra_tf/train/optimizers/"):
            part = "update"
        part = part or ("losses, masks, counts" if "objectives/" in line else "rest")
    direction = "backward" if backward else "forward"
    has_direction = part in (words[0] if words else "",)
    return (
        f"{'/'.join(words) or 'unnamed'} ({direction})",
        f"{part} {direction}" if has_direction else part,
    )


def _tables(text):
    """File names, (file, line) of locations and (location, parent) of frames, by number."""
    files, locations, frames, table = {}, {}, {}, None
    for line in text.splitlines():
        if line in ("FileNames", "FunctionNames", "FileLocations", "StackFrames"):
            table = line
            continue
        match = _TABLE.match(line)
        if not match:
            if line.startswith(("%", "ENTRY")):
                break
            continue
        number, rest = int(match[1]), match[2]
        fields = dict(re.findall(r"(\w+)=(\d+)", rest))
        if table == "FileNames":
            files[number] = rest.strip('"')
        elif table == "FileLocations":
            locations[number] = int(fields["file_name_id"]), int(fields["line"])
        elif table == "StackFrames":
            # Frame 1, which has no parent, is written with parent 1: they count from one.
            frames[number] = int(fields["file_location_id"]), int(fields["parent_frame_id"]) - 1
    return files, locations, frames
