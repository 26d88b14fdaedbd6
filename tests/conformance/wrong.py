"""For each check what makes the toy fail it."""

from __future__ import annotations

Edit = tuple[str, str, str]
"""File, what stands there, what is put in its place."""

NET, NECK, HEAD, LOSS = "backbone/toynet", "neck/toyneck", "head/toyhead", "loss/toyloss"
INPUT, DETECTOR, READER, WRITER = (
    "input/toyinput",
    "detector/toydetector",
    "reader/toyreader",
    "writer/toywriter",
)
ENGINE = "engine/toyengine"
LOGGER = "logger/toylogger"
EXPORTER = "exporter/toyexporter"
RUNTIME = "runtime/toyruntime"
SCHEDULE = "schedule/toyschedule"
TRACKER, FILTER = "tracker/toytracker", "filter/toyfilter"
TRANSFORM, SHEAR = "transform/toytransform", "transform/toyshear"
MODEL = "model/single_animal/toykit_model"


def _forward(code: str) -> Edit:
    return "network.py", "return [self.norm(self.conv(images))]", code


_TORCH = ("network.py", "from torch import nn", "import torch\nfrom torch import nn")
_FEATURES = "    def features(self):\n        return (Feature(self.channels"
_NET_CONFIG = "class ToyNetConfig(BackboneConfig):\n"

WRONG: dict[str, tuple[str, str, list[Edit]]] = {
    # Check: subject, part of the reason, what is wrong.
    "plugin_is_active": ("", "install a newer pose_core", [("plugin.py", '"1.0"', '"9.0"')]),
    "names_are_free": ("", "belongs to coco", [("plugin.py", '("reader", "toyreader"', '("reader", "coco"')]),
    "summaries_are_one_line": (
        "",
        "one line",
        [("plugin.py", '{module}:{cls}", "A toy"', '{module}:{cls}", ""')],
    ),
    "citations_are_bibtex": (
        "",
        "toy2020paper of citations.bib has no year",
        [("citations.bib", "year={2020}", "volume={1}")],
    ),
    "strings_lead_to_code": (
        NET,
        "pose_toykit.head defines no ToyNet",
        [("plugin.py", '"ToyNet", "network"', '"ToyNet", "head"')],
    ),
    "model_resolves": (
        MODEL,
        "there is no feature map 7",
        [("plugin.py", '{"type": "toykit/toyhead"}},\n', '{"type": "toykit/toyhead", "feature": 7}},\n')],
    ),
    "recipe_fits_backbones": (
        "recipe/single_animal/toykit_{backbone}",
        "there is no feature map 7",
        [("plugin.py", '"feature": 0', '"feature": 7')],
    ),
    "methods_and_suppliers_name_stages": (
        "",
        "method 'toykit_tiles'",
        [
            ("plugin.py", "    ModelPreset,\n", "    MethodSpec,\n    ModelPreset,\n"),
            (
                "plugin.py",
                "@hookimpl\ndef pose_extra_heads():",
                (
                    "@hookimpl\ndef pose_methods():\n"
                    '    stages = {"tiles": {"type": "toykit/no_stage"}}\n'
                    '    yield MethodSpec("toykit_tiles", "A toy", "frame", "several", "several", stages=stages)\n'
                    "\n\n@hookimpl\ndef pose_extra_heads():"
                ),
            ),
        ],
    ),
    "extra_head_serves_its_need": (
        "extra_head/bottom_up/toycorners",
        "does not serve it",
        [("plugin.py", '"unique": True', '"unique": False')],
    ),
    "zoo_is_described": (
        "zoo/toyzoo/toymodel",
        "keypoints are not those of the description, nose, tail",
        [("plugin.py", 'keypoints=("nose", "tail")', 'keypoints=("tail", "nose")')],
    ),
    "weights_are_described": ("weights/toy_weights", "license is empty", [("plugin.py", '"CC0-1.0"', '""')]),
    "kind_leads_to_code": (
        "kind/toysmoother",
        "pose_toykit.commands defines no ToySmother",
        [("plugin.py", "commands:ToySmoother", "commands:ToySmother")],
    ),
    "command_leads_to_code": (
        "command/toygreet",
        "pose_toykit.commands defines no application",
        [("plugin.py", "commands:app", "commands:application")],
    ),
    "command_is_an_application": (
        "command/toygreet",
        "app has no command",
        [("commands.py", "@app.command()\n", "")],
    ),
    "factory_is_of_its_kind": (
        READER,
        "pose_toykit.formats:ToyReader is not a subclass of pose_core.interfaces.reader.Reader",
        [("formats.py", "class ToyReader(Reader):", "class ToyReader:")],
    ),
    "config_is_of_its_kind": (
        NET,
        "BackboneConfig",
        [("config.py", _NET_CONFIG, "class ToyNetConfig(NeckConfig):\n")],
    ),
    "config_has_an_example": (
        NET,
        "channels: Field required",
        [("config.py", "Field(6, ge=1,", "Field(ge=1,")],
    ),
    "config_is_strict": (
        NET,
        "unknown key is accepted",
        [("config.py", _NET_CONFIG, _NET_CONFIG + '    model_config = {"extra": "ignore"}\n')],
    ),
    "config_is_described": (NET, "channels", [("config.py", ', description="Channels of the map."', "")]),
    "config_round_trips_yaml": (
        NET,
        "channels",
        [
            ("config.py", "from pydantic import Field", "from pydantic import Field, field_serializer"),
            (
                "config.py",
                _FEATURES,
                '    @field_serializer("channels")\n    def more(self, value):\n        return value + 1\n\n'
                + _FEATURES,
            ),
        ],
    ),
    "config_has_a_schema": (
        NET,
        "JsonSchema",
        [
            (
                "config.py",
                "from typing import Any, cast",
                "from collections.abc import Callable\nfrom typing import Any, cast",
            ),
            (
                "config.py",
                _NET_CONFIG,
                _NET_CONFIG + '    call: Callable[[], int] | None = Field(None, description="x")\n',
            ),
        ],
    ),
    "requires_is_complete": (
        HEAD,
        "components of heatmap; write requires=('heatmap',)",
        [("config.py", '{"maps": {"type": "toykit/toyloss"}}', '{"maps": {"type": "heatmap/mse"}}')],
    ),
    "backbone_states_its_features": (
        NET,
        "fine to coarse",
        [("config.py", "(Feature(self.channels, 4),)", "(Feature(1, 8), Feature(1, 4))")],
    ),
    "plugin_module_is_light": (
        "",
        "torch",
        [("plugin.py", "from pose_core.hooks", "import torch\nfrom pose_core.hooks")],
    ),
    "configs_are_light": ("", "scipy", [("config.py", "from pydantic", "import scipy\nfrom pydantic")]),
    "license_is_stated": (
        "",
        "PluginInfo says MIT",
        [("plugin.py", '"BSD-3-Clause", "1.0"', '"MIT", "1.0"')],
    ),
    "wheel_is_complete": (
        "",
        "lacks pose_toykit/head.py",
        [
            (
                "pyproject.toml",
                'packages = ["src/pose_toykit"]',
                'packages = ["src/pose_toykit"]\nexclude = ["**/head.py"]',
            )
        ],
    ),
    "features_are_as_declared": (NET, "is declared", [("network.py", "3, 4, 1)", "3, 2, 1)")]),
    "odd_sizes": (
        NET,
        "is declared",
        [_forward("return [nn.functional.interpolate(self.conv(images)[..., ::2, ::2], scale_factor=2.0)]")],
    ),
    "insert_points_are_passed": (
        NET,
        "what an insert returns at images is not used",
        [("network.py", "(images,) = insert", "insert")],
    ),
    "stages_hold_all_parameters": (
        NET,
        "stage_parts() leaves out norm.weight, norm.bias",
        [("network.py", '(("conv",), ("norm",))', '(("conv",),)')],
    ),
    "batches_of_one_and_three": (
        NET,
        "differs when others are in the batch",
        [_forward("x = self.norm(self.conv(images))\n        return [x - x.mean(0)]")],
    ),
    "gradients_are_finite": (
        NET,
        "without a gradient: unused.weight",
        [("network.py", "self.norm =", "self.unused = nn.Linear(2, 2)\n        self.norm =")],
    ),
    "eval_is_deterministic": (
        NET,
        "differs from run to run",
        [_forward("return [self.norm(self.conv(nn.functional.dropout(images)))]")],
    ),
    "inputs_are_not_changed": (NET, "images", [_forward("return [self.norm(self.conv(images.mul_(2)))]")]),
    "follows_the_device": (
        NET,
        "mixes devices",
        [_TORCH, _forward("return [self.conv(images) + torch.zeros(1, 1, 1, 1)]")],
    ),
    "weights_round_trip": (
        NET,
        "after saving and loading",
        [
            _TORCH,
            (
                "network.py",
                "        self.norm = ",
                "        self.shift = torch.randn(3, 1, 1)\n        self.norm = ",
            ),
            _forward("return [self.norm(self.conv(images + self.shift))]"),
        ],
    ),
    "global_state_is_kept": (
        NET,
        "seeds torch",
        [_TORCH, ("network.py", "self.norm =", "torch.manual_seed(3)\n        self.norm =")],
    ),
    "import_keeps_global_state": (
        "",
        "torch's default dtype",
        [
            (
                "network.py",
                "from torch import nn",
                "import torch\nfrom torch import nn\ntorch.set_default_dtype(torch.float64)",
            )
        ],
    ),
    "learns_one_batch": (NET, "no less than", [_forward("return [self.norm(self.conv(images)) * 0]")]),
    "keypoint_axes_are_all": (
        HEAD,
        "conv.bias",
        [("head.py", ', "conv.bias": (KeypointAxis(0, entries),)', "")],
    ),
    "targets_fit_outputs": (
        HEAD,
        "target of maps is not finite",
        [("head.py", "x.nan_to_num() * near", "x * near")],
    ),
    "predictions_are_well_formed": (
        HEAD,
        "must lie in [0, 1]",
        [("head.py", "score.clamp(0, 1)", "(score * 9 + 9)")],
    ),
    "codec_finds_nothing_in_empty_images": (
        HEAD,
        "keypoints are found",
        [("head.py", "score.clamp(0, 1)", "torch.ones_like(score)")],
    ),
    "codec_recovers_keypoints": (
        HEAD,
        "are off by",
        [("head.py", "(cells.float()) + offset", "(cells.float())")],
    ),
    "codec_recovers_partial_animals": (
        HEAD,
        "are off by",
        [
            (
                "head.py",
                "        offsets = torch",
                (
                    "        near = near * points.isfinite().all((1, 2))[:, None, None, None]\n        offsets = "
                    "torch"
                ),
            )
        ],
    ),
    "codec_recovers_crowds": (
        HEAD,
        "are off by",
        # It says that it finds several animals, and finds one.
        [
            (
                "config.py",
                "    def predicts_unique(self):",
                "    def predicts_several(self):\n        return True\n\n    def predicts_unique(self):",
            )
        ],
    ),
    "codec_mirrors": (
        HEAD,
        "mirrored labels",
        [("head.py", ") + offset", ") + offset + torch.tensor([0.4, 0.0])")],
    ),
    "unlabelled_keypoints_do_not_count": (
        HEAD,
        "is not finite",
        [
            ("head.py", "x.nan_to_num() * near", "x * near"),
            ("head.py", "torch.where(weight > 0, output - target, 0.0)", "(output - target)"),
        ],
    ),
    "keypoints_may_be_many_or_few": (
        HEAD,
        "the loss with 1 keypoints is not finite",
        [
            (
                "head.py",
                "self.conv(features[self.chosen])}",
                "self.conv(features[self.chosen]) / (len(self.names) - 1)}",
            )
        ],
    ),
    "loss_leaves_out_weight_zero": (
        LOSS,
        "changes the loss",
        [
            (
                "head.py",
                "torch.where(weight > 0, output - target, 0.0).square() * weight",
                "(output - target).square()",
            )
        ],
    ),
    "loss_of_nothing_is_zero": (LOSS, "not 0", [("head.py", ".sum().clamp(min=1)", ".sum()")]),
    "loss_does_not_grow_with_the_batch": (
        LOSS,
        "of twice the batch",
        [("head.py", "error.sum() / weight.expand_as(error).sum().clamp(min=1)", "error.sum()")],
    ),
    "detector_lists_boxes": (
        DETECTOR,
        "scores must lie in [0, 1]",
        [("around.py", "boxes[:, None], scores[:, None]", "boxes[:, None], scores[:, None] + 1")],
    ),
    "detector_learns_from_empty_images": (
        DETECTOR,
        "no animal",
        [("around.py", "known.sum().clamp(min=1)", "known.sum()")],
    ),
    "detector_offers_the_same": (
        DETECTOR,
        "it finds other boxes than forward: 2 of 2 boxes have no partner",
        [("around.py", "return boxes, scores", "return boxes + 1, scores")],
    ),
    "input_is_drawn": (INPUT, "is not finite", [("around.py", ".nan_to_num(-1e4)", "")]),
    "input_depends_on_the_pose": (
        INPUT,
        "moved pose",
        [("around.py", "keypoints[:, 0].nan", "(keypoints[:, 0] * 0).nan")],
    ),
    "exporter_writes_the_network": (
        EXPORTER,
        "for 3 images of 96 x 64 the file gives tensor 0 has shape",
        [("exporter.py", "module(*tensors)", "module(*(each[:2] for each in tensors))")],
    ),
    "exporter_writes_what_can_be_moved": (
        EXPORTER,
        "moved, the file raises DataError",
        [("exporter.py", "path.write_text(other.name)", "path.write_text(str(other))")],
    ),
    "exporter_keeps_its_hands_off": (
        EXPORTER,
        "training mode",
        [
            (
                "exporter.py",
                "path.write_text(other.name)",
                "path.write_text(other.name)\n        context.network.train()",
            )
        ],
    ),
    "exporter_refuses_damaged_files": (
        EXPORTER,
        "a damaged file raises",
        [("exporter.py", "(RuntimeError, ValueError)", "ZeroDivisionError")],
    ),
    "runtime_computes_the_network": (
        RUNTIME,
        "for 1 images of 64 x 96 it gives tensor 0 is off by",
        [("runtime.py", "found * self.factor", "found * self.factor / (1 + 1 / len(found))")],
    ),
    "runtime_keeps_its_hands_off": (
        RUNTIME,
        "the next call changes",
        [
            (
                "runtime.py",
                "return [found * self.factor for found in self.context.network(*tensors)]",
                (
                    "found = self.context.network(*tensors)\n            self.kept = getattr(self, 'kept', found)\n"
                    "            return [k.copy_(f) if k.shape == f.shape else f for k, f in zip(self.kept, found)]"
                ),
            )
        ],
    ),
    "runtime_survives_its_cache": (
        RUNTIME,
        "damaged files of its cache raise ValueError",
        [("runtime.py", ' or not file.read_text().startswith("1")', "")],
    ),
    "runtime_takes_its_precisions": (
        RUNTIME,
        "with 16 bits it gives tensor 0 is off by",
        [
            (
                "runtime.py",
                "found * self.factor",
                "found * (self.factor if self.context.precision == 32 else 1.5)",
            )
        ],
    ),
    "transform_moves_labels_with_pixels": (
        TRANSFORM,
        "px beside it|none shows",
        [("transform.py", "image=image", "image=np.roll(image, 4, axis=1)")],
    ),
    "transform_keeps_labels": (
        TRANSFORM,
        "makes 1 animals of 2",
        [
            (
                "transform.py",
                "labels=view.labels",
                "labels=replace(view.labels, keypoints=view.labels.keypoints[1:])",
            )
        ],
    ),
    "transform_keeps_the_form_of_images": (
        TRANSFORM,
        "float32 of one",
        [("transform.py", "image=image", "image=image.astype(np.float32)")],
    ),
    "transform_takes_any_image": (
        TRANSFORM,
        "IndexError",
        [("transform.py", "        image =", "        view.labels.keypoints[0]\n        image =")],
    ),
    "transform_says_whether_it_mirrors": (
        SHEAR,
        "without mirrors",
        [("transform.py", "[[1.0, rng", "[[rng.choice([-1.0, 1.0]), rng")],
    ),
    "transform_repeats": (
        TRANSFORM,
        "a second time",
        [
            (
                "transform.py",
                "        image =",
                "        self.n = getattr(self, 'n', 0) + 1\n        view.image[: self.n] = 0\n        image =",
            )
        ],
    ),
    "transform_draws_from_its_generator": (
        TRANSFORM,
        "global random numbers of numpy",
        [("transform.py", "rng.integers(2, 4, dtype=np.uint8)", "np.uint8(np.random.randint(2, 4))")],
    ),
    "schedule_gives_rates": (SCHEDULE, "is -", [("schedule.py", "progress / 2", "progress * 2")]),
    "schedule_depends_on_progress_only": (
        SCHEDULE,
        "a second time",
        [("schedule.py", "        return self", "        self.seen += 1\n        return self")],
    ),
    "schedule_resumes": (
        SCHEDULE,
        "resumed",
        [("schedule.py", 'self.seen = state["seen"]', "pass")],
    ),
    "logger_takes_a_training": (
        LOGGER,
        "FileExistsError",
        [("logger.py", '.open("a")', '.open("x")')],
    ),
    "logger_draws_no_random_numbers": (
        LOGGER,
        "random numbers of random",
        [
            ("logger.py", "from pose_core", "import random\n\nfrom pose_core"),
            ("logger.py", "sorted(metrics.items())", "random.random()"),
        ],
    ),
    "engine_starts_workers": (
        ENGINE,
        "2 workers were asked for, 1 began",
        [("engine.py", "range(workers)", "range(1)")],
    ),
    "engine_finds_and_cancels_workers": (
        ENGINE,
        "found again, 0 of 2 workers are alive",
        [("engine.py", 'state["pids"])', "[])")],
    ),
    "tracker_gives_ids": (
        TRACKER,
        "of 2 animals a frame has",
        [("tracker.py", "self.context.animals or 10**9", "10**9")],
    ),
    "tracker_changes_nothing": (
        TRACKER,
        "it changes boxes",
        [("tracker.py", "instances.animal_boxes().astype(float)", "instances.boxes\n        boxes += 1")],
    ),
    "tracker_follows": (TRACKER, "pairs of ids", [("tracker.py", "far <= 30", "far <= 0.5")]),
    "tracker_is_deterministic": (
        TRACKER,
        "another video at the same time",
        [
            ("tracker.py", "self.centres, self.ids, self.next = np.z", "self.centres, self.ids = np.z"),
            ("tracker.py", "np.zeros(0, np.int64), 0", "np.zeros(0, np.int64)"),
            ("tracker.py", "class ToyTracker(Tracker):", "class ToyTracker(Tracker):\n    next = 0\n"),
            ("tracker.py", "self.next += len(new)", "ToyTracker.next += len(new)"),
        ],
    ),
    "tracker_ignores_the_order": (
        TRACKER,
        "in another order",
        [
            (
                "tracker.py",
                "        new = np.flat",
                "        far = far\n        ids[:1] = -1\n        new = np.flat",
            )
        ],
    ),
    "tracker_tells_margins": (
        TRACKER,
        "from 0 to 1",
        [
            (
                "tracker.py",
                "    def state_dict(self):",
                (
                    "    def compute_margins(self):\n        return np.full(len(self.ids), 2.0)\n"
                    "\n    def state_dict(self):"
                ),
            ),
            ("tracker.py", "centres[ids >= 0], ids[ids >= 0]", "centres, ids"),
        ],
    ),
    "tracker_continues": (TRACKER, "continued", [("tracker.py", 'state["next"]', "0")]),
    "tracker_counts_time_by_frames": (
        TRACKER,
        "without animals change",
        [("tracker.py", "            return ids\n", "            self.next += 1\n            return ids\n")],
    ),
    "tracker_takes_whatever_is_stored": (
        TRACKER,
        "assert|nan|NaN|one id",
        [("tracker.py", "far[~(far <= 30)] = np.inf", "assert not np.isnan(far).any()")],
    ),
    "tracker_state_is_bounded": (
        TRACKER,
        "bytes after",
        [
            ("tracker.py", "centres[ids >= 0], ids[ids >= 0]", "self.extend(centres), ids"),
            (
                "tracker.py",
                "    def state_dict(self):",
                (
                    "    def extend(self, c):\n        self.past = [*getattr(self, 'past', []), c]\n        return c\n"
                    "\n    def state_dict(self):"
                ),
            ),
            (
                "tracker.py",
                '"next": self.next}',
                '"next": self.next, "past": list(getattr(self, "past", []))}',
            ),
        ],
    ),
    "tracker_prepares": (
        TRACKER,
        "gives other ids",
        [
            (
                "tracker.py",
                "    def state_dict(self):",
                "    def prepare(self, frames):\n        self.next += 1\n\n    def state_dict(self):",
            )
        ],
    ),
    "tracker_takes_images": (
        TRACKER,
        "it changes the image",
        [
            (
                "config.py",
                "class ToyTrackerConfig(TrackerConfig):\n    pass",
                'class ToyTrackerConfig(TrackerConfig):\n    def needs(self):\n        return ("images",)',
            ),
            (
                "tracker.py",
                "    def state_dict(self):",
                (
                    "    def take_image(self, frame, image):\n        image[:] = 0\n"
                    "\n    def state_dict(self):"
                ),
            ),
        ],
    ),
    "filter_gives_keypoints": (
        FILTER,
        "one coordinate",
        [
            (
                "filter.py",
                "        return points",
                "        points[3, 0, 0, 0] = np.nan\n        return points",
            )
        ],
    ),
    "filter_stays_in_its_reach": (FILTER, "px from where it was", [("filter.py", "return 1", "return 0")]),
    "filter_leaves_what_stands_still": (FILTER, "one moves by", [("filter.py", "/ 3", "/ 3.1")]),
    "filter_keeps_animals_apart": (
        FILTER,
        "beside other animals",
        [("filter.py", "        return points", "        return points + 0.1 * points.shape[1]")],
    ),
    "filter_takes_whatever_is_stored": (
        FILTER,
        "has a place",
        [("filter.py", "        return points", "        return np.nan_to_num(points, nan=0.5)")],
    ),
    "model_builds": (
        MODEL,
        "no_such",
        [("network.py", "nn.Conv2d(3, config.channels", "nn.Conv2d(3, config.no_such")],
    ),
    "reader_knows_its_format": (
        READER,
        "raises",
        [
            (
                "formats.py",
                'accepts(cls, path):\n        return path.suffix == ".toy"',
                "accepts(cls, path):\n        return path.read_text()[0] == 't'",
            )
        ],
    ),
    "reader_writes_nothing": (
        READER,
        "changed or added",
        [
            (
                "formats.py",
                "accepts(cls, path):",
                'accepts(cls, path):\n        (path.parent / "seen").touch()',
            )
        ],
    ),
    "writer_takes_all_frames": (
        WRITER,
        "ValueError",
        [
            (
                "formats.py",
                "animals = frame.instances\n",
                "animals = frame.instances\n            animals.scores.max()\n",
            )
        ],
    ),
    "writer_reads_what_it_writes": (
        WRITER,
        "come back",
        [("formats.py", "[frame.index, points.tolist()", "[len(rows) + 1, points.tolist()")],
    ),
    "writer_keeps_numbers_of_selected_frames": (
        WRITER,
        "frames [0, 1, 2, 3, 4] come back for 3, 7",
        [("formats.py", "[frame.index, points.tolist()", "[len(rows), points.tolist()")],
    ),
    "writer_keeps_who_is_who": (
        WRITER,
        "come back as 'one'",
        [("formats.py", "who, sure = animals.identity.tolist(),", "who, sure = list(range(len(animals))),")],
    ),
    "writer_refuses_strange_files": (
        WRITER,
        "read() of a file of its own, cut off in the middle",
        [("formats.py", "except (OSError, ValueError, TypeError, LookupError)", "except OSError")],
    ),
    "importer_runs_no_code": (
        "importer/toyimporter",
        "ran code|instead of one line",
        [
            (
                "formats.py",
                'raise RunError(f"{snapshot}: is no toy")',
                "import pickle\n        pickle.loads(snapshot.read_bytes())",
            )
        ],
    ),
    "outputs_are_as_stored": (NET, "and was", [_forward("return [self.norm(self.conv(images)) * 1.1]")]),
    "channels_last": (
        NET,
        "view size",
        [_forward("x = self.conv(images)\n        return [x.view(-1).view(x.shape)]")],
    ),
    "mixed_precision": (
        NET,
        "not finite",
        [
            _TORCH,
            _forward("x = self.conv(images)\n        return [x if x.dtype == torch.float32 else x / 0]"),
        ],
    ),
    "compiles": (
        NET,
        "is off by",
        [_TORCH, _forward("return [self.norm(self.conv(images)) * (1 + torch.compiler.is_compiling())]")],
    ),
    "exports": (
        NET,
        ".",
        [_forward("x = self.conv(images)\n        return [x if float(x.mean()) > 0 else -x]")],
    ),
    "exports_onnx": (
        NET,
        "batch",
        [_TORCH, _forward("return [self.norm(self.conv(images)) + torch.zeros(len(images), 1, 1, 1)]")],
    ),
    "exports_boxes": (
        DETECTOR,
        "batch",
        [("around.py", "return boxes, scores", "return boxes + torch.zeros(len(images), 1, 1), scores")],
    ),
    "exports_decoding": (
        HEAD,
        "data-dependent|branch|guard|Could not",
        [
            (
                "head.py",
                "score, at = near.max(-1)",
                "score, at = near.max(-1) if near.sum() > 0 else near.min(-1)",
            )
        ],
    ),
    "runs_on_a_gpu": (
        NET,
        "device",
        [_TORCH, _forward("return [self.conv(images) + torch.zeros(1, 1, 1, 1)]")],
    ),
}
