"""Small cases in the format of the oracles, from the published formulas written out as plain loops over numpy scalars.

Nothing here is shared with the package. Gradients come by the complex step, Im f(x + ih) / h, which has no
cancellation and is exact to rounding; so every formula below stays analytic (a norm is sqrt(sum x x), never an abs).
"""

import cmath
import json
from pathlib import Path

import numpy as np

H = 1e-30


def gradient(f, inputs, name):
    """d f / d inputs[name], by the complex step."""
    x = inputs[name]
    out = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[at] += 1j * H
        out[at] = np.imag(f(**{**inputs, name: moved})) / H
    return out


def dot(a, b):
    total = 0.0
    for x, y in zip(a, b, strict=True):
        total = total + x * y
    return total


def unit(row):
    length = cmath.sqrt(dot(row, row))
    return row / length if length else row


def cos(a, b):
    return dot(unit(a), unit(b))


def logsumexp(values):
    top = max(v.real for v in values)
    return top + cmath.log(sum(cmath.exp(v - top) for v in values))


def log_softmax(row):
    return row - logsumexp(list(row))


def scores(a, b, t):
    return np.array([[cos(x, y) / t for y in b] for x in a])


def offdiag(n):
    return [(i, j) for i in range(n) for j in range(n) if i != j]


# ---- losses ----------------------------------------------------------------------------------------------------------
def simclr(z1, z2, t):
    rows, n = [*z1, *z2], len(z1)
    total = 0.0
    for i in range(2 * n):
        others = [cos(rows[i], rows[m]) / t for m in range(2 * n) if m != i]
        total = total + logsumexp(others) - cos(rows[i], rows[(i + n) % (2 * n)]) / t
    return total / n


def moco(q, k, queue, t):
    total = 0.0
    for i in range(len(q)):
        logits = [cos(q[i], k[i]) / t] + [dot(unit(q[i]), queue[:, m]) / t for m in range(queue.shape[1])]
        total = total + logsumexp(logits) - logits[0]
    return total / len(q)


def moco_v3(q1, q2, k1, k2, t):
    total = 0.0
    for a, b in ((q1, k2), (q2, k1)):
        for i in range(len(a)):
            total = total + logsumexp([cos(a[i], x) / t for x in b]) - cos(a[i], b[i]) / t
    return 2 * t * total / len(q1)


def byol(p1, p2, z1, z2):
    total = 0.0
    for a, b in ((p1, z2), (p2, z1)):
        for x, y in zip(a, b, strict=True):
            total = total + dot(unit(x) - unit(y), unit(x) - unit(y))
    return total / len(p1)


def simsiam(p1, p2, z1, z2):
    pairs = [(x, y) for a, b in ((p1, z2), (p2, z1)) for x, y in zip(a, b, strict=True)]
    return -sum(cos(x, y) for x, y in pairs) / len(pairs)


def bgrl(q1, q2, y1, y2):
    return 2 + 2 * simsiam(q1, q2, y1, y2)


def column(z, d):
    return [row[d] for row in z]


def mean(values):
    return sum(values) / len(values)


def cov(x, y, correction):
    mx, my = mean(x), mean(y)
    return sum((u - mx) * (v - my) for u, v in zip(x, y, strict=True)) / (len(x) - correction)


def barlow(z1, z2, weight):
    total = 0.0
    for i in range(z1.shape[1]):
        for j in range(z1.shape[1]):
            x, y = column(z1, i), column(z2, j)
            c = cov(x, y, 0) / cmath.sqrt(cov(x, x, 0) + 1e-5) / cmath.sqrt(cov(y, y, 0) + 1e-5)
            total = total + ((1 - c) ** 2 if i == j else weight * c**2)
    return total


def vicreg(z1, z2, sim, std, covw, eps):
    n, d = z1.shape
    total = sim * sum((z1[i, j] - z2[i, j]) ** 2 for i in range(n) for j in range(d)) / (n * d)
    for z in (z1, z2):
        for i in range(d):
            hinge = 1 - cmath.sqrt(cov(column(z, i), column(z, i), 1) + eps)
            if hinge.real > 0:
                total = total + std * hinge / d / 2
            for j in range(d):
                if i != j:
                    total = total + covw * cov(column(z, i), column(z, j), 1) ** 2 / d
    return total


def whiten(rows, eps):
    """L^-1 (z - mean), L L' = (1 - eps) cov + eps I, by the textbook loops."""
    n, d = rows.shape
    s = [[(1 - eps) * cov(column(rows, i), column(rows, j), 1) + eps * (i == j) for j in range(d)] for i in range(d)]
    low = np.zeros((d, d), complex)
    for i in range(d):
        for j in range(i + 1):
            rest = s[i][j] - sum(low[i, m] * low[j, m] for m in range(j))
            low[i, j] = cmath.sqrt(rest) if i == j else rest / low[j, j]
    out = np.zeros((n, d), complex)
    means = [mean(column(rows, i)) for i in range(d)]
    for r in range(n):
        for i in range(d):
            out[r, i] = (rows[r, i] - means[i] - sum(low[i, m] * out[r, m] for m in range(i))) / low[i, i]
    return out


def whitened(z, perm, size, eps):
    out = np.zeros(z.shape, complex)
    for group in perm.reshape(-1, size):
        out[group] = whiten(z[group], eps)
    return out


def wmse(perm, size, eps, norm, **views):
    total, count = 0.0, 0
    for cut in perm:
        whites = [whitened(z, cut, size, eps) for z in views.values()]
        for i in range(len(whites)):
            for j in range(i + 1, len(whites)):
                rows = list(zip(whites[i], whites[j], strict=True))
                each = [2 - 2 * cos(a, b) if norm else dot(a - b, a - b) / len(a) for a, b in rows]
                total, count = total + mean(each), count + 1
    return total / count


def dino(student, teacher, center, n, st, tt):
    crops, total, count = len(student) // n, 0.0, 0
    for j in range(2):
        for i in range(crops):
            if i == j:
                continue
            for r in range(n):
                q = np.exp(log_softmax((teacher[j * n + r] - center[0]) / tt))
                total = total - dot(q, log_softmax(student[i * n + r] / st))
            count += 1
    return total / count / n


def sinkhorn(s, eps, rounds):
    """Codes B x K of scores B x K: rows of the paper's Q (prototypes) to 1/K, its columns (samples) to 1/B."""
    q = np.exp(s / eps).T
    q = q / q.sum()
    for _ in range(rounds):
        for k in range(q.shape[0]):
            q[k] = q[k] / q[k].sum() / q.shape[0]
        for b in range(q.shape[1]):
            q[:, b] = q[:, b] / q[:, b].sum() / q.shape[1]
    return (q * q.shape[1]).T


def swav_codes(z, prototypes, queue, n, eps, rounds):
    codes = []
    for j in range(2):
        rows = [unit(row).real for row in z[j * n : (j + 1) * n]]
        if queue is not None and queue[j, -1].any():
            rows = [*queue[j], *rows]
        s = np.array([[dot(row, c) for c in prototypes] for row in rows])
        codes.append(sinkhorn(s, eps, rounds)[-n:])
    return np.array(codes)


def swav(z, prototypes, codes, n, t):
    crops, total = len(z) // n, 0.0
    for j in range(2):
        for i in range(crops):
            if i != j:
                for r in range(n):
                    p = log_softmax(np.array([dot(unit(z[i * n + r]), c) / t for c in prototypes]))
                    total = total - dot(codes[j, r], p) / n / (crops - 1) / 2
    return total


def dv(a, b, t):
    s = scores(a, b, t)
    n = len(s)
    return dv_scores(s) if n else 0.0


def dv_scores(s):
    n = len(s)
    return mean([s[i, i] for i in range(n)]) - logsumexp([s[p] for p in offdiag(n)]) + np.log(n * (n - 1))


def infonce_scores(s):
    n = len(s)
    return np.log(n) + mean([s[i, i] - logsumexp(list(s[i])) for i in range(n)])


def softplus(x):
    return cmath.log(1 + cmath.exp(x))


def jsd_scores(s):
    n = len(s)
    return mean([-softplus(-s[i, i]) for i in range(n)]) - mean([softplus(s[p]) for p in offdiag(n)])


def nwj_scores(s):
    n = len(s)
    return 1 + mean([s[i, i] - 1 for i in range(n)]) - mean([cmath.exp(s[p] - 1) for p in offdiag(n)])


def smile_scores(s, clip):
    n = len(s)
    clipped = [min(max(s[p].real, -clip), clip) for p in offdiag(n)]
    return mean([s[i, i] for i in range(n)]) - logsumexp([complex(c) for c in clipped]) + np.log(n * (n - 1))


# ---- files -----------------------------------------------------------------------------------------------------------
def write(folder: Path) -> list[Path]:
    """Write every case into a folder."""
    rng = np.random.default_rng(7)
    written = []

    def save(name, method, meta=(), **arrays):
        path = folder / f"{name}.npz"
        np.savez(path, meta=json.dumps({"method": method, "case": name, **dict(meta)}), **arrays)
        written.append(path)

    def case(name, method, f, inputs, climbing, meta=(), state=(), grads=True, **outs):
        """`state` are inputs of the formula that no gradient reaches, and are saved all the same."""
        value = np.real(f(**inputs))
        arrays = {f"input_{k}": v for k, v in inputs.items()} | dict(state)
        if grads:
            for k in climbing:
                grad = gradient(f, inputs, k)
                if inputs[k].ndim == 2 and "zero_row" in name:
                    grad[~inputs[k].any(1)] = 0  # an eps of the implementation decides there
                arrays[f"grad_{k}"] = grad
        save(name, method, meta, loss=value, **arrays, **{f"out_{k}": v for k, v in outs.items()})

    def near(n, d, noise=0.5):
        z = rng.normal(size=(n, d))
        return z, z + noise * rng.normal(size=(n, d))

    def zeroed(z, row):
        z = z.copy()
        z[row] = 0
        return z

    for name, n, t, edit in (("N2", 2, 0.5, None), ("N5", 5, 0.07, None), ("zero_row", 5, 0.1, 3)):
        a, b = near(n, 3)
        a = a if edit is None else zeroed(a, edit)
        f = lambda z1, z2, t=t: simclr(z1, z2, t)  # noqa: E731
        case(f"simclr_{name}_t{t}", "simclr", f, {"z1": a, "z2": b}, ("z1", "z2"), {"temperature": t})
    same = np.outer([1.0, 2.0, 0.5, 3.0], [0.6, -0.8, 0.1])
    case(
        "simclr_collapsed_t0.1",
        "simclr",
        lambda z1, z2: simclr(z1, z2, 0.1),
        {"z1": same, "z2": 2 * same},
        ("z1", "z2"),
    )

    for size, pointer in ((12, 4), (12, 8), (13, 11)):  # room to spare; to the very end; over the end
        q, k = near(4, 3)
        queue = np.array([unit(row).real for row in rng.normal(size=(size, 3))]).T
        after = queue.copy()
        for i in range(4):
            after[:, (pointer + i) % size] = unit(k[i]).real
        case(
            f"moco_K{size}_at{pointer}_t0.2",
            "moco_v1_v2",
            lambda q, k, queue: moco(q, k, queue, 0.2),
            {"q": q, "k": k, "queue": queue},
            ("q",),
            {"temperature": 0.2},
            queue_after=after,
            queue_ptr_before=pointer,
            queue_ptr_after=(pointer + 4) % size,
        )

    for n in (2, 6):
        q1, k2 = near(n, 3)
        q2, k1 = near(n, 3)
        four = {"q1": q1, "q2": q2, "k1": k1, "k2": k2}
        case(f"mocov3_N{n}_t0.3", "moco_v3", lambda **x: moco_v3(**x, t=0.3), four, ("q1", "q2"), {"temperature": 0.3})

    for method, f, p, z in (("byol", byol, "p", "z"), ("simsiam", simsiam, "p", "z"), ("bgrl", bgrl, "q", "y")):
        for name, n, row in (("N2", 2, None), ("N5", 5, None), ("zero_row", 5, 1)):
            a, d = near(n, 3)
            b, c = near(n, 3)
            a = a if row is None else zeroed(a, row)
            inputs = {f"{p}1": a, f"{p}2": b, f"{z}1": c, f"{z}2": d}
            case(f"{method}_{name}", method, f, inputs, (f"{p}1", f"{p}2"))

    for name, (a, b), weight in (
        ("N2_lam0.02", near(2, 3), 0.02),
        ("N7_lam0.5", near(7, 3), 0.5),
        ("collapsed_lam0.1", (np.ones((4, 3)), np.ones((4, 3))), 0.1),
    ):
        f = lambda z1, z2, weight=weight: barlow(z1, z2, weight)  # noqa: E731
        case(f"barlow_{name}", "barlow_twins", f, {"z1": a, "z2": b}, ("z1", "z2"), {"lambd": weight})

    for name, (a, b) in (("N2", near(2, 3)), ("N6", near(6, 4)), ("collapsed", (np.ones((4, 3)), np.ones((4, 3))))):
        w = {"sim_coeff": 10.0, "std_coeff": 5.0, "cov_coeff": 2.0, "eps": 1e-3}
        case(
            f"vicreg_{name}",
            "vicreg",
            lambda z1, z2: vicreg(z1, z2, 10, 5, 2, 1e-3),
            {"z1": a, "z2": b},
            ("z1", "z2"),
            w,
        )

    for name, count, size, eps, norm, cuts in (
        ("2_w12_norm", 2, 12, 0.0, True, 1),
        ("3_w6_mse", 3, 6, 0.01, False, 1),
        ("4_w4_iter2_norm", 4, 4, 0.0, True, 2),
        ("2_w2_shrunk_norm", 2, 2, 0.1, True, 1),  # fewer rows than columns: only the shrinkage makes it possible
    ):
        z = rng.normal(size=(12, 3))
        views = {f"z{i + 1}": z + 0.5 * rng.normal(size=z.shape) for i in range(count)}
        perm = np.array([rng.permutation(12) for _ in range(cuts)])
        f = lambda perm=perm, size=size, eps=eps, norm=norm, **v: wmse(perm, size, eps, norm, **v)  # noqa: E731
        white = np.array([whitened(v, perm[-1], size, eps).real for v in views.values()])
        meta = {"w_size": size, "w_iter": cuts, "eps": eps, "normalise_after_whitening": norm, "n_views": count}
        case(f"wmse{name}", "wmse", f, views, views, meta, {"input_perm": perm.squeeze()}, whitened=white)

    for local in (0, 1, 6):
        n, k = 3, 4
        student, teacher, center = (
            rng.normal(size=((2 + local) * n, k)),
            rng.normal(size=(2 * n, k)),
            rng.normal(size=(1, k)),
        )
        case(
            f"dino_crops2+{local}",
            "dino",
            lambda student, teacher, center: dino(student, teacher, center, 3, 0.2, 0.06),
            {"student": student, "teacher": teacher, "center": center},
            ("student",),
            {"student_temp": 0.2, "teacher_temp": 0.06, "center_momentum": 0.8, "ncrops": 2 + local, "n_global": 2},
            center_after=0.8 * center + 0.2 * teacher.mean(0, keepdims=True),
        )

    for local, length, filled in ((0, 0, 0), (1, 9, 9), (6, 9, 6)):
        n, k, d = 3, 5, 4
        z = rng.normal(size=((2 + local) * n, d))
        raw = rng.normal(size=(k, d))
        prototypes = np.array([unit(row).real for row in raw])
        queue = (
            np.array([[unit(row).real for row in rng.normal(size=(length, d))] for _ in range(2)]) if length else None
        )
        if queue is not None:
            queue[:, filled:] = 0
        codes = swav_codes(z, prototypes, queue, n, 0.1, 2)
        f = lambda z, w, codes=codes: swav(z, w, codes, 3, 0.25)  # noqa: E731
        arrays = {
            "input_z": z,
            "input_prototypes": raw,
            "loss": np.real(f(z, prototypes)),
            "grad_z": gradient(f, {"z": z, "w": prototypes}, "z"),
            "grad_prototypes_normalised": gradient(f, {"z": z, "w": prototypes}, "w"),
            "out_codes": codes,
            "out_prototypes_normalised": prototypes,
        }
        if queue is not None:
            news = np.array([[unit(row).real for row in z[j * n : (j + 1) * n]] for j in range(2)])
            arrays |= {"input_queue": queue, "out_queue_after": np.concatenate([news, queue], 1)[:, :length]}
        meta = {"ncrops": 2 + local, "temperature": 0.25, "sinkhorn_eps": 0.1, "sinkhorn_iterations": 2}
        save(f"swav_crops2+{local}_L{length}_full{filled}", "swav", meta, **arrays)

    for n, t in ((2, 0.5), (6, 0.05), (5, 0.01)):
        a, b = near(n, 3)
        inputs = {"z1": a, "z2": b}
        s = scores(a, b, t).real
        off = np.array([s[p] for p in offdiag(n)])
        joint = np.trace(s) / n
        outs = {
            "taylor_dv_loss_eq24": off.mean() + off.var() / 2 - joint,
            "taylor_dv_loss_eq11": off.mean() + off.var() - joint,
        }
        outs["loss_all_pairs_marginal"] = np.log(np.exp(s - s.max()).mean()) + s.max() - joint
        f = lambda z1, z2, t=t: -(dv(z1, z2, t) + dv(z2, z1, t)) / 2  # noqa: E731
        case(
            f"cosdv_jmi_N{n}_t{t}",
            "cos_dv",
            f,
            inputs,
            ("z1", "z2"),
            {"algorithm": "2 (JMI)", "temperature": t},
            **outs,
        )
    for name, z in (("collapsed", same), ("orthogonal", np.eye(4))):
        case(f"cosdv_{name}_t0.1", "cos_dv", lambda z1, z2: -dv(z1, z2, 0.1), {"z1": z, "z2": z}, (), grads=False)
    (e1, m2), (e2, m1) = near(5, 3), near(5, 3)
    four = {"ze1": e1, "ze2": e2, "zm1": m1, "zm2": m2}
    f = lambda ze1, ze2, zm1, zm2: -(dv(ze1, zm2, 0.2) + dv(ze2, zm1, 0.2)) / 2  # noqa: E731
    grads = {f"grad_{k}_{'estep' if 'e' in k else 'mstep'}": gradient(f, four, k) for k in four}
    inputs = {f"input_{k}": v for k, v in four.items()}
    save(
        "cosdv_sdmi_N5",
        "cos_dv",
        {"algorithm": "1 (SDMI)", "temperature": 0.2},
        loss=np.real(f(**four)),
        **inputs,
        **grads,
    )

    estimates = {"dv": dv_scores, "infonce": infonce_scores, "jsd": jsd_scores, "nwj": nwj_scores}
    estimates |= {f"smile_clip{c}": lambda s, c=c: smile_scores(s, c) for c in (0.5, 1, 20)}
    for kind, f in estimates.items():
        for n, t in ((2, 0.5), (6, 0.25)):
            a, b = near(n, 3)
            s = scores(a, b, t).real
            trained = jsd_scores if kind.startswith("smile") else f
            arrays = {"grad_scores": gradient(trained, {"s": s}, "s")}
            for k in ("z1", "z2"):
                on = lambda z1, z2, t=t, trained=trained: trained(scores(z1, z2, t))  # noqa: E731
                arrays[f"grad_{k}"] = gradient(on, {"z1": a, "z2": b}, k)
            inputs = {"input_z1": a, "input_z2": b, "input_scores": s}
            save(f"mi_{kind}_N{n}", f"mi_{kind}", {"temperature": t}, loss=np.real(f(s)), **inputs, **arrays)

    steps = np.arange(31)
    tau = np.array([1 - (1 - 0.95) / 2 * (1 + np.cos(np.pi * k / 30)) for k in steps])
    save("ema_schedule_tau0.95_T30", "ema_schedule", {"base": 0.95, "max_steps": 30}, input_steps=steps, out_tau=tau)
    xi, theta = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    after = np.array([[0.9 * xi[i, j] + 0.1 * theta[i, j] for j in range(3)] for i in range(2)])
    save(
        "ema_update_m0.9", "ema_update", {"momentum": 0.9}, input_target=xi, input_online=theta, out_target_after=after
    )

    shapes = {"weight": (3, 2), "bias": (2,), "conv": (2, 1, 2, 2), "zero_weight": (2, 2)}
    rates, decay, eta, momentum = [0.3, 0.1, 0.2, 0.05], 0.01, 0.02, 0.8
    arrays = {"input_lrs": np.array(rates)}
    for name, shape in shapes.items():
        p = np.zeros(shape) if name == "zero_weight" else rng.normal(size=shape)
        g = rng.normal(size=(len(rates), *shape))
        arrays |= {f"input_p0_{name}": p, f"input_g_{name}": g}
        velocity, path = np.zeros(shape), []
        for step, rate in enumerate(rates):
            u = g[step] + (decay * p if p.ndim > 1 else 0)
            size, length = (np.sqrt(sum(x * x for x in v.ravel())) for v in (p, u))
            velocity = momentum * velocity + u * (eta * size / length if p.ndim > 1 and size > 0 and length > 0 else 1)
            p = p - rate * velocity
            path.append(p)
        arrays[f"out_p_{name}"] = np.array(path)
    save("lars_wd0.01", "lars", {"weight_decay": decay, "momentum": momentum, "eta": eta}, **arrays)

    def curve(total, warmup, peak):
        cosine = [peak / 2 * (1 + np.cos(np.pi * (k - warmup) / (total - warmup))) for k in range(warmup, total)]
        return np.array([peak * k / warmup for k in range(warmup)] + cosine)

    params = {"mocov3": "lr=0.6 warmup 2 of 8 epochs, 5 it/epoch", "byol": "batch 512 base .3 warm-up 10 steps of 40"}
    both = {"out_mocov3": curve(40, 10, 0.6), "out_byol": curve(40, 10, 0.6)}
    save("lr_schedules_E8_I5", "lr_schedule", {"params": params}, input_iteration=np.arange(40), **both)
    return written
