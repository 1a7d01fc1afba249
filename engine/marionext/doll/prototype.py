"""Warp a character picture to new poses: cut by its keypoints, bend, put back together.

    doll = Doll(picture, points, scores)          # once per character, about 0.1-0.3 s
    frame, coverage = doll.render(points, scores) # every frame, some milliseconds

points (134, 2) pixels, scores (134,), pictures (h, w, 3) RGB uint8.
"""
import cv2
import numpy as np


from marionext.training.figures.bodies import head_layout

F = np.float32
NOSE, NECK = 0, 1
FACE, LH, RH = slice(24, 92), slice(92, 113), slice(113, 134)
SEEN = 0.25
# name: start, end, radius at both ends, usual length; in statures
LIMBS = {
    "r_upper": (2, 3, 0.028, 0.023, 0.165), "r_fore": (3, 4, 0.023, 0.017, 0.15),
    "l_upper": (5, 6, 0.028, 0.023, 0.165), "l_fore": (6, 7, 0.023, 0.017, 0.15),
    "r_thigh": (8, 9, 0.041, 0.032, 0.235), "r_shin": (9, 10, 0.032, 0.021, 0.225),
    "l_thigh": (11, 12, 0.041, 0.032, 0.235), "l_shin": (12, 13, 0.032, 0.021, 0.225),
    "r_foot": (23, 21, 0.021, 0.018, 0.12), "l_foot": (20, 18, 0.021, 0.018, 0.12),
}
BONES = [v for k, v in LIMBS.items() if "foot" not in k] + [(1, 8, 0, 0, 0.295), (1, 11, 0, 0, 0.295)]
BEND = {"upper": "fore", "thigh": "shin"}


def stature(points, scores):
    """Standing height in pixels: what the least foreshortened bones tell."""
    a = np.array([[b[0], b[1]] for b in BONES])
    length = np.hypot(*(points[a[:, 1]] - points[a[:, 0]]).T) / np.array([b[4] for b in BONES])
    length = np.sort(length[(scores[a].min(axis=1) > 0.1)])
    return float(length[-3:].mean()) if len(length) else 100.0


def unit(v):
    return v / max(float(np.hypot(*v)), 1e-6)


def push_pull(colour, weight):
    """Fill colours (h, w, c) where weight is 0 from around, smoothly."""
    h, w = weight.shape
    if min(h, w) < 2:
        total = weight.sum()
        return np.where(weight[..., None] > 0.5, colour, (colour * weight[..., None]).sum((0, 1)) / max(total, 1e-6))
    size = ((w + 1) // 2, (h + 1) // 2)
    small_w = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(colour * weight[..., None], size, interpolation=cv2.INTER_AREA)
    small = small / np.maximum(small_w, 1e-6)[..., None]
    below = push_pull(small.astype(F), np.minimum(small_w * 4, 1).astype(F))
    up = cv2.resize(below, (w, h), interpolation=cv2.INTER_LINEAR)
    return colour * weight[..., None] + up * (1 - weight[..., None])


class Pose:
    """Axes of trunk and head in one picture, from its keypoints."""

    def __init__(self, points, scores, radius=None, size=None):
        self.p, self.s = points.astype(F).copy(), scores.astype(F).copy()
        self.size = size or stature(points, scores)
        # Legs that are not seen are guessed below the hips: pictures are cut there.
        down = unit((self.p[8] + self.p[11] - self.p[2] - self.p[5])) * self.size
        for hip, knee, ankle, heel in ((8, 9, 10, 23), (11, 12, 13, 20)):
            if self.s[hip] > 0.05 and self.s[knee] < 0.12:
                self.p[knee], self.s[knee] = self.p[hip] + down * 0.235, 0.15
                self.p[ankle], self.s[ankle] = self.p[knee] + down * 0.225, 0.15
            elif self.s[knee] >= 0.12 and self.s[ankle] < 0.12:
                self.p[ankle], self.s[ankle] = self.p[knee] + unit(self.p[knee] - self.p[hip]) * 0.225 * self.size, 0.15
        p, S = self.p, self.size
        right, left, rh, lh = p[2], p[5], p[8], p[11]
        self.neck, self.hips = (right + left) / 2, (rh + lh) / 2
        up = self.neck - self.hips
        self.long = max(float(np.hypot(*up)), 0.05 * S)
        self.up = unit(up) if np.hypot(*up) > 0.03 * S else np.array([0, -1], F)
        self.across = np.array([-self.up[1], self.up[0]], F)  # to the picture's right when upright
        wide, hip = float((left - right) @ self.across), float((lh - rh) @ self.across)
        self.turn = 1.0 if wide + hip >= 0 else -1.0
        self.wide = np.array([wide, hip], F) * self.turn / 2

        def half(w, full, deep, more):
            w = abs(w) / S
            full = max(full, w)
            return (np.hypot(w, deep * np.sqrt(max(1 - (w / full) ** 2, 0))) + more) * S
        self.chest, self.seat = half(self.wide[0], 0.105, 0.052, 0.006), half(self.wide[1], 0.06, 0.056, 0.033)
        self._head(radius)

    def _head(self, radius):
        p, s, S = self.p, self.s, self.size
        index = np.r_[24:92, 0, 14:18]
        weight = s[index] * (s[index] > 0.2)
        layout = head_layout(0.5)[:73]
        ears = s[16] > 0.1 and s[17] > 0.1
        self.face = weight[:68].mean() > 0.2 or (s[0] > 0.2 and s[14] > 0.2 and s[15] > 0.2)
        self.back = not self.face and s[0] < 0.1
        if weight.sum() > 2.5 and (weight > 0).sum() >= 5:
            x = np.c_[layout, np.ones(73)]
            r = S * 0.08
            prior = np.array([[r, 0, 0, 0], [0, -r, 0, 0]], F)
            w = np.diag([1e-2, 1e-2, 1e-2, 1e-4])
            fit = np.linalg.solve(x.T @ (x * weight[:, None]) + w, x.T @ (p[index] * weight[:, None]) + w @ np.c_[prior[0], prior[1]])
            a = fit[:3].T * [[1], [-1]]
            u, sv, vt = np.linalg.svd(a, full_matrices=False)
            rows, scale = u @ vt, float(sv.mean())
            self.centre = fit[3].astype(F)
        else:
            facing = -1.0 if self.back else 1.0
            side = unit(p[17] - p[16]) if ears else self.across * self.turn
            if not ears and not self.back and s[0] > 0.2:
                self.centre = (p[0] + self.up * 0 + (p[1] - p[0]) * 0.05).astype(F)
            elif ears:
                self.centre = (p[16] + p[17]) / 2
            else:
                self.centre = self.neck + self.up * 0.13 * S
            up = np.array([side[1], -side[0]], F) * facing
            if up @ (self.centre - self.neck) < 0:
                up = -up
            rows = np.array([[side[0], up[0], 0], [-side[1], -up[1], 0]], F)
            scale = 0.08 * S
        self.rotation = np.vstack([rows, np.cross(rows[0], rows[1])]).astype(F)  # head -> (right, up, near)
        self.radius = radius * S if radius else float(np.clip(scale, 0.06 * S, 0.16 * S))
        # roll of the head's up in the picture
        up = self.rotation @ np.array([0, 1, 0], F)
        self.head_up = unit(np.array([up[0], -up[1]], F))
        # skull's middle, a little above and behind the face's
        skull = self.rotation @ np.array([0, 0.12, -0.06], F) * self.radius
        self.skull = self.centre + np.array([skull[0], -skull[1]], F)


def capsule(xy, a, b, ra, rb):
    """Distance to a tapered stretch in parts of its radius: 1 at its outline."""
    d = b - a
    t = np.clip(((xy - a) @ d) / max(float(d @ d), 1e-6), 0, 1)
    away = xy - a - t[..., None] * d
    return np.sqrt((away * away).sum(-1)) / (ra + t * (rb - ra))


def grid(h, w, x0=0, y0=0):
    y, x = np.mgrid[y0:y0 + h, x0:x0 + w].astype(F)
    return np.stack([x, y], -1)


def smooth(x, low, high):
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


class Doll:
    def __init__(self, picture, points, scores, mask=None, background=None, hint=None):
        self.hint = hint
        self.h, self.w = picture.shape[:2]
        pose = Pose(points, scores)
        joints = pose.p[[3, 4, 6, 7, 9, 10, 12, 13]]
        cut = ((joints < 0) | (joints > (self.w, self.h))).any()
        self.pad = pad = round(0.2 * pose.size) if cut else 0
        if pad:
            picture = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
            points = np.asarray(points, F) + pad
            mask = None if mask is None else np.pad(mask, pad)
            self.hint = None if hint is None else np.pad(hint, pad)
        self.picture, self.pose = picture, Pose(points, scores)
        h, w = picture.shape[:2]
        self.tall, self.broad = h, w
        xy, P, S = grid(h, w), self.pose, self.pose.size
        near = {}
        for name, (a, b, ra, rb, _) in LIMBS.items():
            if P.s[a] > 0.1 and P.s[b] > 0.1:
                near[name] = capsule(xy, P.p[a], P.p[b], ra * S, rb * S)
        for side, (elbow, wrist, hand) in {"r": (3, 4, RH), "l": (6, 7, LH)}.items():
            end = P.p[hand][[5, 9, 13, 17]].mean(0) if scores[hand].mean() > 0.15 else P.p[wrist] + unit(P.p[wrist] - P.p[elbow]) * 0.06 * S
            start = P.p[wrist]
            if scores[wrist] > 0.1 and scores[elbow] > 0.1:
                d = capsule(xy, start, end, 0.02 * S, 0.03 * S)
                if scores[hand].mean() > 0.15:
                    q = P.p[hand]
                    for finger in range(5):
                        c = q[4 * finger + 1:4 * finger + 5]
                        for i in range(3):
                            d = np.minimum(d, capsule(xy, c[i], c[i + 1], 0.012 * S, 0.012 * S))
                near[side + "_hand"] = d
        body = capsule(xy, P.neck + (P.hips - P.neck) * 0.12, P.hips - P.up * 0.01 * S, P.chest, P.seat)
        near["trunk"] = np.maximum(body, 0.97)
        skull = capsule(xy, P.skull, P.skull, P.radius * 1.25, 1)
        near["neck"] = capsule(xy, P.neck + (P.skull - P.neck) * 0.1, P.skull, 0.03 * S, 0.03 * S) + 0.3 + 9 * (skull < 0.8)
        near["head"] = np.maximum(skull, 0.8)
        # Below the hips, beside the thighs: a skirt or coat, or nothing much.
        v = ((P.hips - xy) @ -P.up)  # up from the hips
        knees = [P.p[k] for k in (9, 12) if P.s[k] > 0.05]
        self.hem = None
        if knees:
            down = max(float(np.mean([(P.hips - k) @ P.up for k in knees])), 0.05 * S)
            self.knees = down
            spread = max([abs(float((k - P.hips) @ P.across)) for k in knees]) + 0.035 * S
            share = np.clip(-v / down, 0, 1.6)
            u = np.abs((xy - P.hips) @ P.across)
            wide = P.seat + (np.maximum(spread, P.seat) - P.seat) * share
            low = (v < -0.05 * S)
            near["skirt"] = np.where(low & (share < 1.5), np.maximum(u / wide * 0.9, 1.12), 9).astype(F)
            body = np.where(low, body + (-v - 0.05 * S) / (0.02 * S), body)
            near["trunk"] = np.where(low, np.maximum(near["trunk"], 1.3 + (-v - 0.05 * S) / (0.02 * S)), near["trunk"])
        names = list(near)
        field = np.stack([near[n] for n in names])
        tight = np.minimum(np.stack([body if n == "trunk" else skull if n == "head" else near[n] for n in names if n != "skirt"]).min(0), 9)
        tight = np.where(tight < 9, tight, 9)
        self.mask = self._foreground(tight) if mask is None else mask.astype(F)
        if "skirt" in near:
            self._find_skirt(near, field, names, v)
        order = np.argsort(field, axis=0)
        label = self._flood(field, order[0], names, body, skull)
        best = np.take_along_axis(field, order[:1], 0)[0]
        self.parts, solid = {}, self.mask
        for i, name in enumerate(names):
            kin = self._kin(name)
            others = np.min([field[k] for k, n in enumerate(names) if n != name], axis=0)
            part = smooth(cv2.GaussianBlur((label == i).astype(F), (0, 0), 0.7), 0.2, 0.8)
            real = body if name == "trunk" else skull * 1.2 if name == "head" else field[i]
            if name in LIMBS:
                a, b, ra, rb, _ = LIMBS[name]
                strangers = np.min([field[k] for k, n in enumerate(names) if n != name and n not in kin] + [np.full_like(best, 9)], axis=0)
                for joint, r in ((a, ra), (b, rb)):
                    disc = smooth(capsule(xy, P.p[joint], P.p[joint], r * S, 1), 1.15, 0.95)
                    part = np.maximum(part, disc * (strangers > field[i]))
            elif name == "hand":
                pass
            elif kin & set(names):
                kinsmen = np.min([field[k] for k, n in enumerate(names) if n in kin], axis=0)
                strangers = np.min([field[k] for k, n in enumerate(names) if n != name and n not in kin] + [np.full_like(best, 9)], axis=0)
                part = np.maximum(part, smooth(kinsmen - field[i], -0.2, -0.1) * (strangers > field[i]))
            if name in LIMBS:
                part = part * (field[i] < 2.6)
            if name == "head":
                part = part * np.maximum((xy - P.neck) @ P.up > 0.02 * S, label == i)
            part = part * solid
            count, piece, stats, _ = cv2.connectedComponentsWithStats((part > 0.2).astype(np.uint8))
            if count > 2:
                small = np.flatnonzero(stats[:, 4] < 0.06 * stats[1:, 4].sum())
                part = part * ~np.isin(piece, small)
            # What something in front hides is there all the same.
            shape = smooth(real, 1.0, 0.85) if name != "trunk" else smooth(real, 0.9, 0.75)
            whole = part if name.endswith("hand") else np.maximum(part, shape * solid)
            known = part
            if name in LIMBS and (shape * (label == i)).sum() < 0.65 * shape.sum():
                whole = np.maximum(part, shape)  # mostly hidden, or cut by the edge of the picture
            if name in ("trunk", "neck", "head"):
                front = [k for k, n in enumerate(names) if "fore" in n or "hand" in n or "upper" in n or (n == "head" and name == "neck")]
                known = np.maximum(part, whole * ~np.isin(label, front) * (cv2.erode(solid, np.ones((3, 3))) > 0.7))
            elif name == "skirt":
                hands = np.isin(label, [k for k, n in enumerate(names) if "fore" in n or "hand" in n])
                inner = (real < 9) & hands & (solid > 0.5) & (-v > 0.03 * S) if "skirt" in near else hands & False
                whole = np.maximum(part, cv2.GaussianBlur(inner.astype(F), (0, 0), 1))
            self.parts[name] = self._texture(known, whole)
        self.names = names
        self.colours()
        if background is None:
            wide = cv2.dilate((self.mask > 0.05).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=max(round(S * 0.008), 1))
            feet = self._under(P)
            self.shade = None
            if feet is not None:
                place, wide_s, tall_s = feet
                q = (xy - place) / (wide_s, tall_s)
                floor = ((q * q).sum(-1) < 1) & (self.mask < 0.5)
                filled = self._fill(picture, (wide > 0) | floor)
                ratio = (picture.astype(F).sum(-1) + 3) / (filled.astype(F).sum(-1) + 3)
                bare = floor & (wide == 0)
                dark = bare & (ratio < 0.97)
                if bare.sum() > 20 and dark.sum() > 0.25 * bare.sum():
                    self.shade = float(np.clip(np.percentile(ratio[bare], 10), 0.45, 1)), wide_s, tall_s
                    wide = ((wide > 0) | floor).astype(np.uint8)
            background = self._fill(picture, wide)
        if background.shape[0] == self.tall and self.pad:
            background = background[self.pad:-self.pad, self.pad:-self.pad]
        self.background = np.ascontiguousarray(background)

    def _flood(self, field, nearest, names, body, skull):
        """Which part each pixel belongs to: cores grow until they meet at an edge of the picture."""
        markers = np.zeros(nearest.shape, np.int32)
        best = field.min(0)
        for i, name in enumerate(names):
            if name == "trunk":
                core = (body < 0.75) & (np.delete(field, i, 0).min(0) > 1.25)
            elif name == "head":
                core = (skull < 0.75) & (np.delete(field, i, 0).min(0) > 1.0)
            elif name == "skirt":
                core = field[i] < 0.5
            else:
                core = (field[i] < (0.8 if name.endswith("hand") else 0.55)) & (nearest == i)
            markers[core & (nearest == i)] = i + 1
        solid = self.mask > 0.5
        markers[(best > 3.0) & solid & (markers == 0)] = len(names) + 1  # nobody's
        markers[~solid] = len(names) + 2
        flooded = cv2.watershed(np.ascontiguousarray(self.picture[..., ::-1]), markers.copy())
        line = flooded == -1  # lines between parts: to a neighbour
        grown = cv2.dilate(np.where(flooded > len(names), 0, flooded).clip(0).astype(np.uint8), np.ones((3, 3)))
        flooded = np.where(line, grown, flooded)
        wrong = (flooded < 1) | (flooded > len(names) + 1)
        label = np.where(wrong, nearest, flooded - 1)
        # an edge far from the bones is not believed
        far = np.take_along_axis(field, np.minimum(label, len(names) - 1)[None], 0)[0] > best + 0.9
        return np.where(far & (label < len(names)), nearest, label)

    def _find_skirt(self, near, field, names, v):
        """Decide whether what is beside the thighs is a skirt, and how far down it goes."""
        S, i = self.pose.size, names.index("skirt")
        best = field.argmin(0)
        mine = (best == i) & (self.mask > 0.5)
        thighs = np.isin(best, [k for k, n in enumerate(names) if "thigh" in n]) & (self.mask > 0.5)
        steps = np.arange(0.04, min(1.5 * self.knees / S, 0.5), 0.02)
        share = []
        for low in steps:
            band = (-v > low * S) & (-v < (low + 0.02) * S)
            share.append((mine & band).sum() / max((thighs & band).sum() + (mine & band).sum(), 1))
        share = np.array(share)
        filled = share > 0.22
        if filled[:3].sum() >= 2 and filled.sum() >= 3:
            gap = np.flatnonzero(~filled)
            gap = gap[gap > 2]
            self.hem = float(steps[gap[0]] if len(gap) else steps[-1] + 0.02) * S
            others = [k for k, n in enumerate(names) if "hand" in n or "fore" in n or "shin" in n or "foot" in n]
            inside = (-v < self.hem) & (-v > 0.035 * S) & (field[i] < 9) & (field[others].min(0) > 1.25)
            field[i][inside] = np.minimum(field[i], 0.3)[inside]
            field[i][~inside] = 9
        else:
            field[i] = 9  # ragged edges of trousers: let the thighs have them
            for k, n in enumerate(names):
                if n == "trunk":
                    continue

    def _fill(self, picture, hole):
        """Fill the background; what lies beyond the picture's edge tells nothing."""
        if not self.pad:
            return fill_background(picture, hole)
        out, box = picture.copy(), np.s_[self.pad:-self.pad, self.pad:-self.pad]
        out[box] = fill_background(picture[box], hole[box])
        return out

    def _under(self, pose):
        """Where a shadow would be: under the feet."""
        feet = [k for k in (10, 13, 18, 21) if pose.s[k] > 0.2]
        if len(feet) < 2:
            return None
        q = pose.p[feet]
        S = pose.size
        heel = max(float((pose.p[k])[1]) for k in (20, 23, 10, 13))
        return np.array([q[:, 0].mean(), max(heel, float(q[:, 1].max())) + 0.0 * S], F), (0.12 + 0.55 * float(np.ptp(q[:, 0])) / S) * S, 0.055 * S

    def _kin(self, name):
        side, _, part = name.partition("_")
        return {f"{side}_{k}" for k in {"upper": ("fore",), "fore": ("upper", "hand"), "thigh": ("shin",), "shin": ("thigh", "foot"), "hand": ("fore",), "foot": ("shin",)}.get(part, ())} | (
            {"trunk"} if part in ("upper", "thigh") or name == "skirt" else set()) | ({"l_upper", "r_upper", "l_thigh", "r_thigh", "neck", "skirt"} if name == "trunk" else set()) | ({"head", "trunk"} if name == "neck" else set()) | ({"neck", "trunk"} if name == "head" else set())

    def _texture(self, part, whole):
        """Premultiplied RGBA of a part, its hidden places filled, cut to its box."""
        if whole.max() < 0.3 or (part > 0.5).sum() < 4:
            return None
        y, x = np.nonzero(whole > 0.02)
        y0, y1, x0, x1 = max(y.min() - 2, 0), y.max() + 3, max(x.min() - 2, 0), x.max() + 3
        box = np.s_[y0:y1, x0:x1]
        weight = (part[box] > 0.6).astype(F)
        if self.mask is not None:
            weight *= cv2.erode(self.mask[box], np.ones((3, 3))) > 0.7
        if weight.sum() < 3:
            weight = (part[box] > 0.3).astype(F)
        colour = push_pull(self.picture[box].astype(F), weight)
        alpha = whole[box].astype(F)
        return np.dstack([colour * alpha[..., None], alpha]).astype(F), (int(x0), int(y0))

    def _foreground(self, near):
        """Soft mask of the figure: near (h, w) is the distance to the skeleton, 1 at typical outlines."""
        S = self.pose.size
        seed = np.full(near.shape, cv2.GC_BGD, np.uint8)
        head = capsule(grid(self.tall, self.broad), self.pose.skull, self.pose.skull, self.pose.radius * 2.3, 1)
        seed[(near < 3.0) | (head < 1)] = cv2.GC_PR_BGD
        seed[near < 1.05] = cv2.GC_PR_FGD
        seed[near < 0.5] = cv2.GC_FGD
        if self.hint is not None:  # a person segmenter's opinion
            seed[self.hint > 0.3] = cv2.GC_PR_FGD
            seed[(self.hint > 0.9) & (near < 2)] = cv2.GC_FGD
            seed[(self.hint < 0.05) & (near > 0.9)] = cv2.GC_BGD
        if (seed == cv2.GC_FGD).sum() < 20:
            return (near < 1).astype(F)
        bg, fg = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(1)
        try:
            cv2.grabCut(np.ascontiguousarray(self.picture[..., ::-1]), seed, None, bg, fg, 4, cv2.GC_INIT_WITH_MASK)
        except cv2.error:
            return (near < 1).astype(F)
        mask = ((seed == cv2.GC_FGD) | (seed == cv2.GC_PR_FGD)).astype(np.uint8)
        if self.pad:
            p = self.pad
            mask[:p] = 0; mask[-p:] = 0; mask[:, :p] = 0; mask[:, -p:] = 0
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
        sure = np.unique(parts[near < 0.5])
        mask = (np.isin(parts, sure[sure > 0])).astype(F)
        rough = max(S * 0.004, 0.6)
        return smooth(cv2.GaussianBlur(mask, (0, 0), rough), 0.25, 0.75).astype(F)

    def colours(self):
        """Skin, and the head with and without its face."""
        P, S = self.pose, self.pose.size
        t = self.parts.get("head")
        face_skin = None
        if t is not None:
            tex, (x0, y0) = t
            h, w = tex.shape[:2]
            alpha = tex[..., 3]
            plain = tex[..., :3] / np.maximum(alpha, 1e-3)[..., None]
            self.head_colour = np.ascontiguousarray(push_pull(plain.astype(F), (cv2.erode(alpha, np.ones((3, 3))) > 0.9).astype(F)), F)
            q = np.stack(np.broadcast_arrays(*[(grid(h, w, x0, y0)[..., k] - P.skull[k]) / P.radius / 1.12 for k in (0, 1)]), -1)
            z = np.sqrt(np.clip(1 - (q * q).sum(-1), 0, 1))
            own = np.stack([q[..., 0], -q[..., 1], z], -1) @ P.rotation
            face = (own[..., 2] > 0.1) & (own[..., 1] < 0.45) & (z > 0)
            chin = (own[..., 1] < -0.55)
            weight = ((alpha > 0.9) & ~face & ~chin).astype(F)
            if weight.sum() < 8:
                weight = (alpha > 0.9).astype(F)
            self.nape = np.ascontiguousarray(push_pull(self.head_colour.copy(), weight), F)
            if P.face:
                cheek = (own[..., 2] > 0.55) & (own[..., 1] < 0.05) & (own[..., 1] > -0.35) & (alpha > 0.9)
                if cheek.sum() > 3:
                    face_skin = np.median(plain[cheek], axis=0)
        self.skin = {}
        for side, hand, wrist in (("r", RH, 4), ("l", LH, 7)):
            part = self.parts.get(side + "_hand")
            if part is not None and P.s[wrist] > 0.5 and P.s[hand].mean() > 0.4:
                c = part[0][part[0][..., 3] > 0.95][:, :3]
                if len(c) > 6:
                    self.skin[side] = np.median(c, axis=0)
        self.hands = {}
        self.drawn = P.size < 190
        for side, hand in (("r", RH), ("l", LH)):
            part = self.parts.get(side + "_hand")
            if side in self.skin and (part[0][..., 3] > 0.95).sum() > 60 and not self.drawn:
                tex = part[0]
                plain = tex[..., :3] / np.maximum(tex[..., 3:], 1e-3)
                odd = np.abs(plain - self.skin[side]).sum(-1) > 160
                self.hands[side] = np.ascontiguousarray(push_pull(plain.astype(F), ((tex[..., 3] > 0.9) & ~odd).astype(F)), F), np.array(part[1], F)
        for side, other in ("rl", "lr"):
            if side not in self.skin:
                self.skin[side] = self.skin.get(other, face_skin)
            if self.skin[side] is None:
                self.skin[side] = np.array([200, 160, 140], F)

    # ---- a frame

    def render(self, points, scores, depth=None, size=None, background=None):
        R, f = self.pose, Pose(points, scores, radius=self.pose.radius / self.pose.size, size=size)
        self.out = np.ascontiguousarray((self.background if background is None else background).astype(F))
        self.cover = np.zeros(self.out.shape[:2], F)
        under = self._under(f) if getattr(self, "shade", None) and background is None else None
        if under is not None:
            place, wide, tall = under
            box, xy = self._box(place - (wide, tall), place + (wide, tall))
            if box is not None:
                q = (xy - place) / (wide, tall)
                self.out[box] *= (1 - (1 - self.shade[0]) * np.clip(1 - (q * q).sum(-1), 0, 1) * 1.1)[..., None]
        arms, legs = self._order(f, depth)
        behind = [s for s, z in arms if z < 0]
        before = [s for s, z in arms if z >= 0]
        for side in behind:
            self._arm(f, side)
        for side in legs:
            for part in ("foot", "shin", "thigh"):
                self._limb(f, f"{side}_{part}")
        self._skirt(f)
        self._trunk(f)
        self._neck(f)
        over = [s for s in before if self._over_head(f, s, depth)]
        for side in before:
            if side not in over:
                self._arm(f, side)
        self._head(f)
        for side in over:
            self._arm(f, side)
        return np.clip(self.out + 0.5, 0, 255).astype(np.uint8), self.cover

    def _over_head(self, f, side, depth):
        if depth is not None:
            wrist = 4 if side == "r" else 7
            return depth[134] < depth[wrist]
        return True

    def _order(self, f, depth):
        """Arms back to front with signs, legs back to front."""
        if depth is not None:
            arms = [(s, float(depth[k:k + 3].mean() - depth[1]) + 0.03) for s, k in (("r", 2), ("l", 5))]
            legs = [s for s, k in sorted((("r", 8), ("l", 11)), key=lambda x: depth[x[1]:x[1] + 3].mean())]
            return sorted(arms, key=lambda a: a[1]), legs
        yaw = float(f.rotation[0, 2])  # the nose points to the picture's right
        narrow = 1 - min(abs(float(f.wide[0])) / (0.09 * f.size), 1)
        arms = []
        for side, k, mine in (("r", 2, -1), ("l", 5, 1)):
            # facing right, the person's right side is near
            z = 0.02 if f.turn > 0 else -0.02
            z += -mine * np.sign(yaw) * narrow * 0.1 * (1 if not f.back else 0)
            inside = capsule(f.p[k + 1:k + 3], f.neck, f.hips, f.chest, f.seat).min() < 0.9
            if inside and min(f.s[k + 1], f.s[k + 2]) < 0.5 * f.s[[2, 5]].max():
                z -= 0.1
            arms.append((side, z))
        arms.sort(key=lambda a: a[1])
        legs = sorted("rl", key=lambda s: f.s[[9, 10] if s == "r" else [12, 13]].mean() + (0.3 * narrow * np.sign(yaw) * (1 if s == "r" else -1)))
        return arms, legs

    def _paste(self, texture, box, mx, my):
        tex, (x0, y0) = texture
        m = np.dstack([mx - x0, my - y0]).astype(F)
        h, w = box[0].stop - box[0].start, box[1].stop - box[1].start
        if m.shape[:2] != (h, w):
            m = cv2.resize(m, (w, h), interpolation=cv2.INTER_LINEAR)
        h, w = self.out[box].shape[:2]
        got = cv2.remap(tex, m[:h, :w], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        keep = 1 - got[..., 3:]
        np.multiply(self.out[box], keep, out=self.out[box])
        self.out[box] += got[..., :3]
        np.maximum(self.cover[box], got[..., 3], out=self.cover[box])

    def _box(self, low, high, coarse=False):
        x0, y0 = np.floor(np.maximum(low, 0)).astype(int)
        x1, y1 = np.ceil(np.minimum(high, (self.w, self.h))).astype(int)
        if x1 - x0 < 1 or y1 - y0 < 1:
            return None, None
        if coarse:  # maps are smooth: every other pixel is enough
            h, w = (y1 - y0 + 1) // 2, (x1 - x0 + 1) // 2
            y1, x1 = y0 + 2 * h, x0 + 2 * w
            return np.s_[y0:y1, x0:x1], grid(h, w) * 2 + np.array([x0 + 0.5, y0 + 0.5], F)
        return np.s_[y0:y1, x0:x1], grid(y1 - y0, x1 - x0, x0, y0)

    def _limb(self, f, name):
        a, b, ra, rb, usual = LIMBS[name]
        R = self.pose
        if f.s[a] < 0.12 or f.s[b] < 0.12:
            return
        source = name
        other = ("l" if name[0] == "r" else "r") + name[1:]
        texture = self.parts.get(name)

        def worth(n):
            if self.parts.get(n) is None:
                return 0
            i, j = LIMBS[n][:2]
            return min(R.s[i], R.s[j]) * min(np.hypot(*(R.p[j] - R.p[i])) / (usual * R.size), 0.6)
        if worth(other) > 1.8 * worth(name):
            source, texture = other, self.parts[other]
        if texture is None:
            self._plain_limb(f, name)
            return
        ia, ib = LIMBS[source][:2]
        self._stretch(f, texture, R.p[ia], R.p[ib], f.p[a], f.p[b], usual, source != name, R.turn * f.turn)

    def _plain_limb(self, f, name):
        """A limb the reference does not show, in the colour of what it hangs on."""
        side, part = name.split("_")
        colour = None
        for near in {"fore": ("upper", "trunk"), "upper": ("fore", "trunk"), "shin": ("thigh", "skirt", "trunk"), "thigh": ("shin", "skirt", "trunk"), "foot": ("shin", "thigh")}[part]:
            for t in (self.parts.get(f"{side}_{near}"), self.parts.get(f"{'lr'[side == 'l']}_{near}"), self.parts.get(near)):
                if t is not None and colour is None:
                    c = t[0][t[0][..., 3] > 0.9][:, :3]
                    if len(c) > 3:
                        colour = np.median(c[-len(c) // 3:], axis=0)
        if colour is None:
            return
        a, b, ra, rb, _ = LIMBS[name]
        S = f.size
        pad = ra * S + 2
        box, xy = self._box(np.minimum(f.p[a], f.p[b]) - pad, np.maximum(f.p[a], f.p[b]) + pad)
        if box is None:
            return
        d = capsule(xy, f.p[a], f.p[b], ra * S, rb * S)
        alpha = np.clip((1 - d) * rb * S + 0.5, 0, 1)[..., None]
        colour = colour * (0.75 if part == "foot" else 1)
        self.out[box] = self.out[box] * (1 - alpha) + colour * alpha
        self.cover[box] = np.maximum(self.cover[box], alpha[..., 0])

    def _stretch(self, f, texture, ra, rb, fa, fb, usual, mirrored, turned, reach=0.09):
        R = self.pose
        k = R.size / f.size
        rd, fd = rb - ra, fb - fa
        rl, fl = max(float(np.hypot(*rd)), 0.12 * usual * R.size), max(float(np.hypot(*fd)), 0.02 * f.size)
        ru, fu = unit(rd), unit(fd)
        side = turned * (-1 if mirrored else 1)
        rn, fn = np.array([-ru[1], ru[0]], F), np.array([-fu[1], fu[0]], F) * side
        pad = reach * f.size
        box, xy = self._box(np.minimum(fa, fb) - pad, np.maximum(fa, fb) + pad, f.size > 150)
        if box is None:
            return
        d = xy - fa
        t, u = d @ fu, d @ fn * k
        t = np.where(t < 0, t * k, np.where(t > fl, rl + (t - fl) * k, t * (rl / fl)))
        m = ra + t[..., None] * ru + u[..., None] * rn
        self._paste(texture, box, m[..., 0].astype(F), m[..., 1].astype(F))

    def _trunk(self, f):
        texture, R = self.parts.get("trunk"), self.pose
        if texture is None:
            return
        pad = max(f.chest, f.seat) * 1.5 + 0.09 * f.size
        box, xy = self._box(np.minimum(f.hips, f.neck) - pad, np.maximum(f.hips, f.neck) + pad, f.size > 150)
        if box is None:
            return
        d = xy - f.hips
        v, u = d @ f.up, d @ f.across
        k = R.size / f.size
        share = np.clip(v / f.long, 0, 1)

        def slope(pose):
            right, left, rh, lh = pose.p[2], pose.p[5], pose.p[8], pose.p[11]
            top = float(((left - right) @ pose.up) / max(abs(float((left - right) @ pose.across)), 0.05 * pose.size)) * pose.turn
            low = float(((lh - rh) @ pose.up) / max(abs(float((lh - rh) @ pose.across)), 0.05 * pose.size)) * pose.turn
            return low, top
        low, top = slope(f)
        v = v - u * (low + (top - low) * share) * 0.8
        share = np.clip(v / f.long, 0, 1)
        half = f.seat + (f.chest - f.seat) * share
        u = u / half * f.turn * R.turn
        rv = np.where(v < 0, v * k, np.where(v > f.long, R.long + (v - f.long) * k, v * (R.long / f.long)))
        rs = np.clip(rv / R.long, 0, 1)
        ru = u * (R.seat + (R.chest - R.seat) * rs)
        low, top = slope(R)
        rv = rv + ru * (low + (top - low) * rs) * 0.8
        m = R.hips + rv[..., None] * R.up + ru[..., None] * R.across
        self._paste(texture, box, m[..., 0].astype(F), m[..., 1].astype(F))

    def _skirt(self, f):
        texture, R = self.parts.get("skirt"), self.pose
        if texture is None or self.hem is None:
            return
        def layout(pose):
            knees = np.array([pose.p[9], pose.p[12]])
            d = knees - pose.hips
            down = max(float((d @ -pose.up).max()), 0.08 * pose.size)
            x = np.sort(d @ pose.across)
            return down, min(x[0] - 0.035 * pose.size, -pose.seat * 0.8), max(x[1] + 0.035 * pose.size, pose.seat * 0.8)
        down, left, right = layout(f)
        rdown, rleft, rright = layout(R)
        hem = self.hem / rdown
        k = R.size / f.size
        pad = np.hypot(max(right, -left), down * 1.3)
        box, xy = self._box(f.hips - pad, f.hips + pad, f.size > 150)
        if box is None:
            return
        d = xy - f.hips
        v, u = -(d @ f.up), d @ f.across
        share = np.clip(v / down, 0, 1.3)
        lo, hi = -f.seat + (left + f.seat) * share, f.seat + (right - f.seat) * share
        n = (u - lo) / (hi - lo)
        if f.turn * R.turn < 0:
            n = 1 - n
        rv = np.where(v < 0, v * k, v * rdown / down)
        share = np.clip(rv / rdown, 0, 1.3)
        lo, hi = -R.seat + (rleft + R.seat) * share, R.seat + (rright - R.seat) * share
        ru = lo + n * (hi - lo)
        m = R.hips - rv[..., None] * R.up + ru[..., None] * R.across
        self._paste(texture, box, m[..., 0].astype(F), m[..., 1].astype(F))

    def _neck(self, f):
        texture, R = self.parts.get("neck"), self.pose
        if texture is not None:
            self._stretch(f, texture, R.neck, R.skull, f.neck, f.skull, 0.12, False, R.turn * f.turn, 0.06)

    def _arm(self, f, side):
        k = 2 if side == "r" else 5
        folded = unit(f.p[k + 1] - f.p[k]) @ unit(f.p[k + 2] - f.p[k + 1]) < -0.2 and not self.drawn
        if folded:  # what is folded up is nearer
            self._limb(f, side + "_upper")
        self._limb(f, side + "_fore") if folded else None
        self._hand(f, side)
        if not folded:
            self._limb(f, side + "_fore")
            self._limb(f, side + "_upper")

    def _hand(self, f, side):
        hand, wrist, elbow = (RH, 4, 3) if side == "r" else (LH, 7, 6)
        if f.s[wrist] < 0.12 or f.s[elbow] < 0.12:
            return
        S, colour = f.size, self.skin[side]
        layer = np.zeros((self.h, self.w), np.uint8)
        pts = np.where(f.s[hand, None] > 0.05, f.p[hand], f.p[wrist])
        if f.s[hand].mean() < 0.1:
            way = unit(f.p[wrist] - f.p[elbow])
            pts = f.p[wrist] + way * np.linspace(0, 0.075, 21)[:, None].astype(F) * S
        low, high = pts.min(0) - 0.03 * S, pts.max(0) + 0.03 * S
        box, _ = self._box(low, high)
        if box is None:
            return
        y0, x0 = box[0].start, box[1].start
        hh, ww = box[0].stop - y0, box[1].stop - x0
        big = 4
        q = ((pts - [x0, y0] + 0.5) * big * 16).astype(np.int32)
        line, edge = np.zeros((hh * big, ww * big), np.uint8), np.zeros((hh * big, ww * big), np.uint8)
        wide = max(0.0155 * S, 1.0)
        for thick, canvas in ((wide + max(0.007 * S, 0.8), edge), (wide, line)):
            t = max(round(thick * big), 1)
            for finger in range(5):
                cv2.polylines(canvas, [q[4 * finger + 1:4 * finger + 5]], False, 255, t, cv2.LINE_8, 4)
            palm = q[[0, 1, 5, 9, 13, 17]]
            cv2.fillPoly(canvas, [cv2.convexHull(palm)], 255, cv2.LINE_8, 4)
            cv2.polylines(canvas, [cv2.convexHull(palm)], True, 255, t, cv2.LINE_8, 4)
        edge, line = (cv2.resize(c, (ww, hh), interpolation=cv2.INTER_AREA).astype(F)[..., None] / 255 for c in (edge, line))
        out = self.out[box]
        texture, R = self.hands.get(side), self.pose
        if texture is not None and f.s[hand].mean() > 0.1:
            use = [0, 1, 5, 9, 13, 17, 6, 10, 14, 8, 12, 16]
            src = np.c_[f.p[hand][use] - [x0, y0], np.ones(len(use))]
            to = R.p[hand][use] - texture[1]
            reg = np.diag([1, 1, 1e-3]) * (0.01 * S) ** 2
            a = np.linalg.solve(src.T @ src + reg, src.T @ to)
            got = cv2.warpAffine(texture[0], a.T, (ww, hh), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
            out = out * (1 - edge) + edge * got * 0.8
            self.out[box] = out * (1 - line) + line * got
        else:
            out = out * (1 - edge) + edge * colour * (0.66 if self.drawn else 0.85)
            self.out[box] = out * (1 - line) + line * colour
        self.cover[box] = np.maximum(self.cover[box], np.maximum(edge, line)[..., 0])

    def _ball(self, f, xy):
        """Places in the reference of places in the frame, on the head: colour and outline."""
        R = self.pose
        d = (xy - f.skull) / f.radius
        right = np.array([-f.head_up[1], f.head_up[0]], F)
        rr = np.array([-R.head_up[1], R.head_up[0]], F)
        # Hair that stands out moves in the picture's plane; it is mirrored with the head.
        flip = 1.0 if f.rotation[0, 0] * R.rotation[0, 0] + f.rotation[0, 2] * R.rotation[0, 2] >= 0 else -1.0
        flat = R.skull + ((d @ right) * (flip * R.radius))[..., None] * rr + ((d @ f.head_up) * R.radius)[..., None] * R.head_up
        ball = 1.12
        q = d / ball
        rho = (q * q).sum(-1)
        z = np.sqrt(np.clip(1 - rho, 0, 1))
        own = np.stack([q[..., 0], -q[..., 1], z], -1) @ f.rotation  # right, up, front of the head
        seen = own @ R.rotation.T
        other = (own * np.array([-1, 1, 1], F)) @ R.rotation.T
        use = (seen[..., 2] < 0.15) & (other[..., 2] > seen[..., 2])
        seen = np.where(use[..., None], other, seen)
        m = R.skull + np.stack([seen[..., 0], -seen[..., 1]], -1) * (ball * R.radius)
        inside = smooth(rho, 1.0, 0.75)
        return flat + (m - flat) * inside[..., None], flat, own, seen[..., 2], rho, inside

    def _head(self, f):
        texture, R = self.parts.get("head"), self.pose
        if texture is None:
            return
        pad = f.radius * 2.2
        box, xy = self._box(f.skull - pad, f.skull + pad)
        if box is None:
            return
        m, flat, own, near, rho, inside = self._ball(f, xy)
        index = np.r_[24:92, 0, 14:16]
        if f.face and R.face:
            # What the ball gets wrong of the face, as far as a linear map tells.
            w = np.minimum(f.s[index], R.s[index]); w = w * (w > 0.2)
            if w.sum() > 3:
                at = f.p[index]
                err = R.p[index] - self._ball(f, at)[0]
                x = np.c_[(at - f.skull) / f.radius, np.ones(len(at))]
                a = np.linalg.solve(x.T @ (x * w[:, None]) + np.diag([0.5, 0.5, 0.02]) * w.sum() * 0.1, x.T @ (err * w[:, None]))
                size = np.hypot(*err.T).max()
                move = np.dstack([(xy - f.skull) / f.radius, np.ones(xy.shape[:2])]) @ a
                m = m + np.clip(move, -R.radius * 0.5, R.radius * 0.5) * (smooth(rho, 1.0, 0.4) * smooth(own[..., 2], 0.0, 0.5))[..., None]
        (x0, y0) = texture[1]
        def take(picture, where):
            return cv2.remap(picture, (where[..., 0] - x0).astype(F), (where[..., 1] - y0).astype(F), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colour = take(self.head_colour, m)
        # what lies behind the ears, or out of sight in the reference, is hair
        hair = np.maximum(smooth(near, 0.22, 0.0), smooth(own[..., 2], -0.05, -0.25) if not R.back else 0) * inside
        if f.back and not R.back:
            hair = np.maximum(hair, (rho >= 1) * 1.0)
        if hair.max() > 0:
            colour = colour + (take(self.nape, flat) - colour) * hair[..., None]
        if R.back and not f.back:
            skin = smooth(own[..., 2], 0.25, 0.4) * smooth(own[..., 1], 0.5, 0.35) * (rho < 1) * smooth(near, 0.2, -0.1)
            colour = colour + (self.skin["r"] - colour) * skin[..., None]
        a = cv2.remap(texture[0][..., 3], (flat[..., 0] - x0).astype(F), (flat[..., 1] - y0).astype(F), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)[..., None]
        self.out[box] = self.out[box] * (1 - a) + colour * a
        self.cover[box] = np.maximum(self.cover[box], a[..., 0])


def fill_background(picture, hole, way="rows"):
    """Fill a hole (h, w, nonzero) with what is round it."""
    if way == "telea":
        return cv2.inpaint(picture, hole, 3, cv2.INPAINT_TELEA)
    weight = (hole == 0).astype(F)
    smoothly = push_pull(picture.astype(F), weight)
    if way == "smooth":
        return np.clip(smoothly, 0, 255).astype(np.uint8)
    # along rows: straight between the hole's left and right
    h, w = hole.shape
    x = np.arange(w)
    ok = weight > 0
    last = np.maximum.accumulate(np.where(ok, x, -1), axis=1)
    nxt = np.minimum.accumulate(np.where(ok, x, w)[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(h)[:, None]
    pic = cv2.blur(picture.astype(F) * weight[..., None], (3, 1)) / np.maximum(cv2.blur(weight, (3, 1)), 1e-3)[..., None]
    left, right = pic[rows, np.maximum(last, 0)], pic[rows, np.minimum(nxt, w - 1)]
    dl, dr = (x - last).astype(F), (nxt - x).astype(F)
    wl = np.where(last < 0, 0, 1 / np.maximum(dl, 1)); wr = np.where(nxt >= w, 0, 1 / np.maximum(dr, 1))
    total = wl + wr
    line = (left * wl[..., None] + right * wr[..., None]) / np.maximum(total, 1e-9)[..., None]
    line = np.where((total > 0)[..., None], line, smoothly)
    out = np.where(ok[..., None], picture, line)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)
