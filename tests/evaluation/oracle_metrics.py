"""Slow loops over rows and dicts that follow docs/methods/evaluation.md word by word."""

from collections import defaultdict
from math import inf, log2


def drop_pairs(lists, forbidden):
    """{query: {product: rank}} without the forbidden pairs; what stood below moves up."""
    result = {}
    for query, ranked in lists.items():
        removed = 0
        result[query] = {}
        for product, rank in sorted(ranked.items(), key=lambda item: item[1]):
            if (query, product) in forbidden:
                removed += 1
            else:
                result[query][product] = rank - removed
    return result


def read_lists(rows, query_column):
    lists = defaultdict(dict)
    for row in rows:
        lists[row[query_column]][row["product_id"]] = row["rank"]
    return dict(lists)


def ranking_values(ranked, wanted, k, *, reachable):
    """QueryHit, Recall, NDCG and MRR of one query."""
    ranks = sorted(ranked.get(product, inf) for product in wanted)
    hits = [rank for rank in ranks if rank <= k]
    best = sum(1 / log2(place + 1) for place in range(1, min(k, len(wanted)) + 1))
    return {
        "QueryHit": 1.0 if hits else 0.0,
        "Recall": len(hits) / (min(k, len(wanted)) if reachable else len(wanted)),
        "NDCG": sum(1 / log2(rank + 1) for rank in hits) / best,
        "MRR": 1 / hits[0] if hits else 0.0,
    }


def mean(values):
    values = list(values)
    return sum(values) / len(values)


class Complements:
    """All metrics of DESIGN.md section 7 for complements, {(metric, k, segment): value}."""

    def __init__(self, recs, truth, train, products, ks):
        self.recs, self.train, self.products, self.ks = recs, train, products, ks
        self.values = {}
        known = set()
        for row in train:
            if row["complement"]:
                known.add((row["query_id"], row["candidate_id"]))
            if row["similar"]:
                known.add((row["query_id"], row["candidate_id"]))
                known.add((row["candidate_id"], row["query_id"]))
        sold = {row["product_id"] for row in products}
        self.bought = {(r["query_id"], r["candidate_id"]) for r in truth if r["co_purchase"] > 0}
        self.truth = {}
        for row in truth:
            pair = row["query_id"], row["candidate_id"]
            inside = pair[0] in sold and pair[1] in sold
            if row["co_purchase"] > 0 and pair not in known and inside:
                self.truth[pair] = max(row["co_purchase"], self.truth.get(pair, 0))
        self.everything = drop_pairs(read_lists(recs, "query_id"), known)
        self.queries = sorted({query for query, _ in self.truth})
        if self.truth:
            self.accuracy()
            self.beyond()
            self.asymmetry()

    def accuracy(self):
        own = {r["query_id"] for r in self.train if r["complement"]}
        seen = {r[n] for r in self.train for n in ("query_id", "candidate_id")}
        self.by_query("all", self.queries)
        self.by_query("warm queries", [q for q in self.queries if q in own])
        rest = [q for q in self.queries if q not in own]
        self.by_query("queries without co-purchases", [q for q in rest if q in seen])
        self.by_query("new products", [q for q in rest if q not in seen])
        self.hit("warm candidates", [p for p in self.truth if p[1] in seen])
        self.hit("new candidates", [p for p in self.truth if p[1] not in seen])

    def by_query(self, segment, queries):
        self.hit(segment, [pair for pair in self.truth if pair[0] in queries])
        for k in self.ks:
            values = defaultdict(list)
            for query in queries:
                wanted = {c for q, c in self.truth if q == query}
                ranked = self.everything.get(query, {})
                for name, value in ranking_values(ranked, wanted, k, reachable=False).items():
                    values[name].append(value)
            for name, every in values.items():
                self.values[name, k, segment] = mean(every)

    def hit(self, segment, pairs):
        for k in self.ks:
            total = sum(self.truth[pair] for pair in pairs)
            if total:
                right = sum(
                    self.truth[q, c]
                    for q, c in pairs
                    if self.everything.get(q, {}).get(c, inf) <= k
                )
                self.values["Hit", k, segment] = right / total

    def beyond(self):
        lists = {q: self.everything[q] for q in self.queries if self.everything.get(q)}
        types = {row["product_id"]: row["product_type"] for row in self.products}
        bought = defaultdict(int)
        for row in self.train:
            bought[row["candidate_id"]] += row["co_purchase"]
        total = sum(bought.values()) + len(self.products)
        for k in self.ks:
            tops = {q: [p for p, rank in r.items() if rank <= k] for q, r in lists.items()}
            shown = {product for top in tops.values() for product in top}
            sold = [product for product in shown if product in types]
            self.values["Coverage", k, "all"] = len(sold) / len(self.products)
            if not lists:
                continue
            self.values["TypesPerList", k, "all"] = mean(
                len({types[p] for p in top if types.get(p)}) for top in tops.values()
            )
            every = [-log2((bought[p] + 1) / total) for top in tops.values() for p in top]
            if every:
                self.values["Novelty", k, "all"] = mean(every)

    def asymmetry(self):
        known = {(r["query_id"], r["candidate_id"]) for r in self.train if r["co_purchase"] > 0}
        scores = {}
        for row in self.recs:
            if row["product_id"] in self.everything[row["query_id"]]:
                scores[row["query_id"], row["product_id"]] = row["score"]
        asked = {query for query, ranked in self.everything.items() if ranked}
        points = []
        for a, b in self.truth:
            if a == b or (b, a) in self.bought or (b, a) in known:
                continue
            if a in asked and b in asked:
                there, back = scores.get((a, b), -inf), scores.get((b, a), -inf)
                points.append(0.5 if there == back else float(there > back))
        if points:
            self.values["Asymmetry", 0, "all"] = mean(points)


class Sellers:
    """All metrics of DESIGN.md section 7 for sellers, {(metric, k, segment): value}."""

    def __init__(self, recs, truth, train, products, high_demand, ks):
        self.products, self.high_demand, self.ks = products, high_demand, ks
        self.train = {(row["seller_id"], row["product_id"]) for row in train}
        self.values = {}
        self.categories = {row["product_id"]: row["category"] for row in products}
        allowed = set(self.categories) & set(high_demand)
        held_out = {(r["seller_id"], r["product_id"]) for r in truth} - self.train
        self.truth = defaultdict(set)
        for seller, product in held_out:
            if product in allowed:
                self.truth[seller].add(product)
        rows = {(r["seller_id"], r["product_id"]): r for r in recs}
        forbidden = {pair for pair in rows if pair in self.train or pair[1] not in allowed}
        self.lists = drop_pairs(read_lists(recs, "seller_id"), forbidden)
        self.truth = {seller: wanted for seller, wanted in self.truth.items() if wanted}
        self.shown = [
            (row["affinity"], pair[1] in self.truth[pair[0]])
            for pair, row in rows.items()
            if pair not in forbidden and pair[0] in self.truth and row["affinity"] is not None
        ]
        if self.truth:
            self.accuracy()
            self.coverage()
            self.calibration()

    def accuracy(self):
        bounds = {"no": (0, 0), "1-4": (1, 4), "5-9": (5, 9), "10-19": (10, 19)}
        self.segment("all", list(self.truth))
        for name, (low, high) in bounds.items():
            count = {s: sum(1 for seller, _ in self.train if seller == s) for s in self.truth}
            members = [s for s in self.truth if low <= count[s] <= high]
            self.segment(f"{name} listings", members)
        for category in sorted({c for c in self.categories.values() if c}):
            recalls = defaultdict(list)
            for seller, wanted in self.truth.items():
                inside = {p for p in wanted if self.categories[p] == category}
                for k in self.ks if inside else ():
                    ranked = self.lists.get(seller, {})
                    value = ranking_values(ranked, inside, k, reachable=True)["Recall"]
                    recalls[k].append(value)
            for k, every in recalls.items():
                self.values["Recall", k, f"category={category}"] = mean(every)

    def segment(self, name, sellers):
        for k in self.ks:
            values = [
                ranking_values(self.lists.get(s, {}), self.truth[s], k, reachable=True)
                for s in sellers
            ]
            for metric in ("Recall", "NDCG") if values else ():
                self.values[metric, k, name] = mean(value[metric] for value in values)

    def coverage(self):
        for k in self.ks:
            shown = {
                product
                for seller in self.truth
                for product, rank in self.lists.get(seller, {}).items()
                if rank <= k
            }
            self.values["Coverage", k, "all"] = len(shown) / len(self.high_demand)

    def calibration(self):
        above = [is_true for affinity, is_true in self.shown if affinity >= 0.5]
        if above:
            self.values["PrecisionAtThreshold", 0, "all"] = mean(above)
        positives = sum(is_true for _, is_true in self.shown)
        negatives = len(self.shown) - positives
        if not positives or not negatives:
            return
        bins = defaultdict(list)
        before = 0
        for level in sorted({affinity for affinity, _ in self.shown}):
            here = [is_true for affinity, is_true in self.shown if affinity == level]
            # weights of 1/(2 positives) and 1/(2 negatives), times 2 * positives * negatives
            mass = sum(negatives if is_true else positives for is_true in here)
            middle = 2 * before + mass
            place = min(9, 10 * middle // (2 * 2 * positives * negatives))
            weights = [0.5 / (positives if is_true else negatives) for is_true in here]
            bins[place] += [(w, level, t) for w, t in zip(weights, here, strict=True)]
            before += mass
        self.values["CalibrationError", 0, "all"] = sum(
            abs(sum(w * t for w, _, t in rows) - sum(w * level for w, level, _ in rows))
            for rows in bins.values()
        )
        weights = {place: sum(w for w, _, _ in rows) for place, rows in bins.items()}
        self.values["CalibrationResolution", 0, "all"] = sum(
            weights[place] * (2 * sum(w * t for w, _, t in rows) / weights[place] - 1) ** 2
            for place, rows in bins.items()
        )
