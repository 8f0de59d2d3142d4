"""The six TFRS tutorials that end in a pair's score, each trained for one step and saved as its text says.

The layers, shapes, dtypes and the way of saving are those of the tutorials; ratings are made up. Two of them
(context features, deep) train towers for retrieval: `call` gives the product of both, which is what ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

USERS = [str(number) for number in range(1, 41)]
WORDS = ("Night", "Day", "the", "Return", "of", "Harbour", "Winter", "a", "River")
TITLES = [
    " ".join([*(WORDS[(number * step) % len(WORDS)] for step in range(1, 2 + number % 5)), f"({1950 + number})"])
    for number in range(30)
]
ZIP_CODES = [f"{number:05}" for number in range(10_000, 10_012)]
OCCUPATIONS = ["writer", "student", "none", "engineer"]
AGES = [18, 25, 35, 45, 50, 56]
ROWS = 400
DIMENSION = 8


def ratings() -> dict[str, np.ndarray]:
    """Columns of `ROWS` ratings; what a user is follows from the user alone."""
    draw = np.random.default_rng(5)
    user, movie = draw.integers(len(USERS), size=ROWS), draw.integers(len(TITLES), size=ROWS)
    return {
        "user_id": np.array(USERS)[user],
        "movie_id": np.array(USERS)[movie],
        "movie_title": np.array(TITLES)[movie],
        "timestamp": draw.integers(880_000_000, 890_000_000, size=ROWS),
        "user_gender": user % 3 == 0,
        "user_zip_code": np.array(ZIP_CODES)[user % len(ZIP_CODES)],
        "user_occupation_text": np.array(OCCUPATIONS)[user % len(OCCUPATIONS)],
        "bucketized_user_age": np.array(AGES)[user % len(AGES)],
        "user_rating": draw.integers(1, 6, size=ROWS).astype(np.float32),
    }


def embedded(vocabulary: Any, layer: Callable[..., Any] | None = None, **masking: Any) -> Any:
    """A look-up and its embedding, as every tutorial begins."""
    layers = tf.keras.layers
    lookup = (layer or layers.StringLookup)(vocabulary=vocabulary, **masking)
    return tf.keras.Sequential([lookup, layers.Embedding(lookup.vocabulary_size(), DIMENSION)])


def dense(*sizes: int) -> list[Any]:
    """Layers of these sizes, the last one linear."""
    layers = [tf.keras.layers.Dense(size, activation="relu") for size in sizes[:-1]]
    return [*layers, tf.keras.layers.Dense(sizes[-1])]


def rating_task() -> Any:
    return tfrs.tasks.Ranking(
        loss=tf.keras.losses.MeanSquaredError(), metrics=[tf.keras.metrics.RootMeanSquaredError()]
    )


class Rated(tfrs.Model):
    """A model whose `call` gives the rating and takes everything but the rating."""

    def __init__(self) -> None:
        super().__init__()
        self.task = rating_task()

    def compute_loss(self, features: Any, training: bool = False) -> Any:
        labels = features.pop("user_rating")
        return self.task(labels=labels, predictions=self(features))


class RankingModel(tf.keras.Model):
    """Two embeddings side by side below dense layers; they are joined on `axis`."""

    def __init__(self, users: Any, movies: Any, axis: int) -> None:
        super().__init__()
        self.users, self.movies, self.axis = users, movies, axis
        self.ratings = tf.keras.Sequential(dense(32, 16, 1))

    def call(self, inputs: Any) -> Any:
        user, movie = inputs
        return self.ratings(tf.concat([self.users(user), self.movies(movie)], axis=self.axis))


class BasicRanking(Rated):
    """basic_ranking: user id and movie title, both text."""

    columns = ("user_id", "movie_title", "user_rating")

    def __init__(self) -> None:
        super().__init__()
        users, movies = embedded(USERS, mask_token=None), embedded(TITLES, mask_token=None)
        self.ranking_model = RankingModel(users, movies, axis=1)

    def call(self, features: Any) -> Any:
        return self.ranking_model((features["user_id"], features["movie_title"]))


class TfxRanking(tfrs.Model):
    """ranking_tfx: integer ids of shape [n, 1], so the score is [n, 1, 1]; features and label come as a pair."""

    columns = ("userId", "movieId", "user_rating")

    def __init__(self) -> None:
        super().__init__()
        self.ranking_model = RankingModel(self._numbers("userId"), self._numbers("movieId"), axis=2)
        self.task = rating_task()

    @staticmethod
    def _numbers(name: str) -> Any:
        layers = tf.keras.layers
        return tf.keras.Sequential([
            layers.Input(shape=(1,), name=name, dtype=tf.int64),
            layers.Lambda(tf.as_string),
            layers.StringLookup(vocabulary=USERS, mask_token=None),
            layers.Embedding(len(USERS) + 1, DIMENSION),
        ])  # fmt: skip

    def call(self, features: Any) -> Any:
        return self.ranking_model((features["userId"], features["movieId"]))

    def compute_loss(self, features: Any, training: bool = False) -> Any:
        return self.task(labels=features[1], predictions=self(features[0]))


class UserModel(tf.keras.Model):
    """The user and the moment, in buckets and normalised."""

    def __init__(self, timestamps: np.ndarray) -> None:
        super().__init__()
        layers = tf.keras.layers
        buckets = np.linspace(timestamps.min(), timestamps.max(), num=20).tolist()
        self.user_embedding = embedded(USERS)
        self.timestamp_embedding = tf.keras.Sequential([
            layers.Discretization(buckets), layers.Embedding(len(buckets) + 2, DIMENSION)
        ])  # fmt: skip
        self.normalized_timestamp = layers.Normalization(axis=None)
        self.normalized_timestamp.adapt(timestamps)

    def call(self, inputs: Any) -> Any:
        moment = inputs["timestamp"]
        return tf.concat(
            [
                self.user_embedding(inputs["user_id"]),
                self.timestamp_embedding(moment),
                tf.reshape(self.normalized_timestamp(moment), (-1, 1)),
            ],
            axis=1,
        )


class MovieModel(tf.keras.Model):
    """The title as a whole and the mean of its words, padding masked."""

    def __init__(self) -> None:
        super().__init__()
        layers = tf.keras.layers
        self.title_embedding = embedded(TITLES)
        words = layers.TextVectorization(max_tokens=100)
        words.adapt(TITLES)
        self.title_text_embedding = tf.keras.Sequential(
            [words, layers.Embedding(100, DIMENSION, mask_zero=True), layers.GlobalAveragePooling1D()]
        )

    def call(self, titles: Any) -> Any:
        return tf.concat([self.title_embedding(titles), self.title_text_embedding(titles)], axis=1)


class Towers(tfrs.Model):
    """context_features (one dense layer a tower) and deep_recommenders (several): a retrieval task."""

    columns = ("user_id", "timestamp", "movie_title")

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.query_model = tf.keras.Sequential([UserModel(ratings()["timestamp"]), *dense(*sizes)])
        self.candidate_model = tf.keras.Sequential([MovieModel(), *dense(*sizes)])
        self.task = tfrs.tasks.Retrieval()

    def towers(self, features: Any) -> tuple[Any, Any]:
        query = self.query_model({name: features[name] for name in ("user_id", "timestamp")})
        return query, self.candidate_model(features["movie_title"])

    def call(self, features: Any) -> Any:
        query, candidate = self.towers(features)
        return tf.reduce_sum(query * candidate, axis=1)

    def compute_loss(self, features: Any, training: bool = False) -> Any:
        self(features)
        return self.task(*self.towers(features), compute_metrics=not training)


class DeepAndCross(Rated):
    """dcn: six embedded features, one of them a bool, below a cross and two dense layers."""

    texts = ("movie_id", "user_id", "user_zip_code", "user_occupation_text")
    numbers = ("user_gender", "bucketized_user_age")
    columns = (*texts, *numbers, "user_rating")

    def __init__(self) -> None:
        super().__init__()
        data = ratings()
        self.embeddings = {name: embedded(np.unique(data[name]), mask_token=None) for name in self.texts}
        for name in self.numbers:
            vocabulary = np.unique(data[name]).astype(np.int64)
            self.embeddings[name] = embedded(vocabulary, tf.keras.layers.IntegerLookup, mask_token=None)
        self.cross = tfrs.layers.dcn.Cross(projection_dim=4, kernel_initializer="glorot_uniform")
        self.deep = tf.keras.Sequential(dense(16, 16, 1))

    def call(self, features: Any) -> Any:
        numbers = {name: tf.cast(features[name], tf.int64) for name in self.numbers}
        columns = {name: features[name] for name in self.texts} | numbers
        return self.deep(self.cross(tf.concat([self.embeddings[name](columns[name]) for name in columns], axis=1)))


class Multitask(tfrs.Model):
    """multitask: `call` gives both embeddings and the rating."""

    columns = ("user_id", "movie_title", "user_rating")

    def __init__(self) -> None:
        super().__init__()
        self.user_model, self.movie_model = embedded(USERS, mask_token=None), embedded(TITLES, mask_token=None)
        self.rating_model = tf.keras.Sequential(dense(32, 16, 1))
        self.rating_task, self.retrieval_task = rating_task(), tfrs.tasks.Retrieval()

    def call(self, features: Any) -> Any:
        user, movie = self.user_model(features["user_id"]), self.movie_model(features["movie_title"])
        return user, movie, self.rating_model(tf.concat([user, movie], axis=1))

    def compute_loss(self, features: Any, training: bool = False) -> Any:
        labels = features.pop("user_rating")
        user, movie, predictions = self(features)
        return self.rating_task(labels=labels, predictions=predictions) + self.retrieval_task(user, movie)


TUTORIALS: dict[str, Callable[[], Any]] = {
    "basic_ranking": BasicRanking,
    "context_features": lambda: Towers(DIMENSION),
    "deep_recommenders": lambda: Towers(16, DIMENSION),
    "dcn": DeepAndCross,
    "multitask": Multitask,
    "ranking_tfx": TfxRanking,
}


def make(path: Path) -> None:
    """A SavedModel for each tutorial below `path`."""
    for name, build in TUTORIALS.items():
        tf.keras.utils.set_random_seed(7)
        model = build()
        _train(model)
        if name == "ranking_tfx":
            model.save(str(path / name))
        else:
            tf.saved_model.save(model, str(path / name))


def _train(model: Any) -> None:
    data = ratings()
    if isinstance(model, TfxRanking):
        ids = {"userId": data["user_id"], "movieId": data["movie_id"]}
        features = {name: values.astype(np.int64)[:, None] for name, values in ids.items()}
        rows: Any = (features, data["user_rating"][:, None])
    else:
        rows = {name: data[name] for name in model.columns}
    model.compile(optimizer=tf.keras.optimizers.Adagrad(0.1))
    model.fit(tf.data.Dataset.from_tensor_slices(rows).batch(ROWS), epochs=1, verbose=0)
