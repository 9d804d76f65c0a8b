"""Every setting of jnerf with its default.

An experiment file overlays this (`config = default_config(); config.fit.steps =
500`), so an unknown key or a value of another type fails at once. `config`
itself reaches `jnerf.main`, the stages, the training loop and the scene loader
only; everything below takes explicit keyword arguments.
"""


from ml_collections import ConfigDict, config_dict


def default_config() -> ConfigDict:
  """All keys, with defaults that suit an indoor capture on a laptop CPU."""
  config = ConfigDict()
  config.seed = 0
  config.scene = _scene()
  config.field = _field()
  config.fit = _fit()
  config.features = _features()
  config.regions = _regions()
  config.shape = _shape()
  config.label = _label()
  config.render = _render()
  config.inspect = _inspect()
  config.runtime = _runtime()
  config.lock()
  return config


def _scene() -> ConfigDict:
  scene = ConfigDict()
  # auto | room | replica | nerfstudio | blender | colmap | llff | scannet | nice_slam
  scene.format = "auto"
  scene.path = ""  # folder of the capture; unused by the procedural room
  scene.width = 0  # working width in pixels; 0 keeps the files' own
  scene.max_pixels = 0  # without a width: halve until V*H*W is below; 0 = never
  scene.train_every = 0  # 0: info.json, else the rule of the format
  scene.train_offset = 0
  scene.test_every = 0
  scene.test_offset = 0
  scene.hfov = 90.0  # degrees; where the capture brings no intrinsics
  scene.near = 0.0  # 0: from depth, else from the cameras
  scene.far = 0.0
  scene.unbounded = "auto"  # yes | no; auto: photographs whose box nobody gives
  scene.ndc = "auto"  # yes | no; auto: mlp field, unbounded, cameras face one way
  scene.strict = False  # whether a frame without its image is an error
  scene.bounds = ()  # xmin, ymin, zmin, xmax, ymax, zmax; () = as near and far
  scene.room = ConfigDict()  # the procedural room
  scene.room.seed = 0
  scene.room.width = 160
  scene.room.height = 120
  scene.room.num_train = 96
  scene.room.num_test = 24
  return scene


def _field() -> ConfigDict:
  field = ConfigDict()
  field.kind = "grid"  # grid | mlp (the paper's)
  field.grid = ConfigDict()
  field.grid.num_levels = 8
  field.grid.features_per_level = 4
  field.grid.log2_table_size = 16
  field.grid.coarsest = 16  # cells along the longest side of the bounds
  field.grid.finest = 512
  field.grid.interpolation = "tetrahedral"  # tetrahedral | trilinear
  field.grid.density_width = 64
  field.grid.color_width = 128  # H, the width that feeds the `rgb` layer
  field.grid.proposal_cells = 64  # the density grid that places samples
  field.grid.proposal_samples = 48
  field.grid.samples = 24
  field.mlp = ConfigDict()
  field.mlp.depth = 8
  field.mlp.width = 256
  field.mlp.skip = 4
  field.mlp.color_width = 128
  field.mlp.position_octaves = 10
  field.mlp.direction_octaves = 4
  field.mlp.coarse_samples = 64
  field.mlp.fine_samples = 128
  return field


def _fit() -> ConfigDict:
  fit = ConfigDict()
  fit.steps = 1500
  fit.num_rays = 1024
  fit.learning_rate = 1e-2
  fit.final_learning_rate = 5e-4
  fit.warmup_steps = 50
  fit.background = "random"  # random | black | white | grey
  fit.interlevel_weight = 1.0
  # Small: it draws weights together before views agree on where, nearer than they
  # should be (office_0: depth off by 6.3 cm at 1e-3, by 54 cm at 1e-2, by 3.7 cm now).
  fit.distortion_weight = 1e-4
  fit.depth_weight = 0.0  # > 0: a sensor's depth supervises, where there is any
  fit.max_grad_norm = 0.0  # 0: no clipping
  return fit


def _features() -> ConfigDict:
  features = ConfigDict()
  features.kind = "auto"  # auto | local | precomputed | vit; auto: files, else local
  features.path = ""  # .npz, or folder of files per image; "": in the scene folder
  features.channels = "auto"  # first | last: their axis in files per image
  features.max_cells = 16384  # of a view; larger maps in files per image are averaged
  features.local = ConfigDict()
  features.local.scales = (1, 2, 4)  # of the statistics, in feature cells
  features.local.stride = 4  # pixels per feature cell
  features.vit = ConfigDict()  # a vision transformer; needs the extra `features`
  features.vit.model = "facebook/dino-vits8"  # name on the hub, or a local folder
  features.vit.revision = ""  # of a model on the hub: branch, tag or commit; "": main
  features.vit.layer = 11  # block that is read, from 0; -1: the last
  features.vit.facet = "key"  # key | query | value | token
  features.vit.stride = 4  # pixels from patch to patch, which overlap; 0: patch size
  features.vit.load_size = 360  # pixels of the shorter side; 0: the photograph's own
  features.vit.pca = 0  # channels kept of all views' principal ones; 0: every one
  features.vit.batch = 0  # photographs at once; 0: one on a CPU, eight on a GPU
  features.vit.device = "auto"  # auto | cpu | cuda | cuda:1 | mps
  return features


def _regions() -> ConfigDict:
  regions = ConfigDict()
  regions.num_cells = 128  # along each side of the space, where surface is looked for
  regions.num_regions = 8000  # about; labelling solves for their square
  regions.color_scale = 0.03  # of RGB in [0, 1]: what ends a region
  regions.feature_scale = 1.0  # of 1 - cosine
  regions.walk_color_scale = 0.2  # what a walk from region to region shuns
  regions.walk_feature_scale = 0.4
  regions.reach = 0.99  # of a walk: 1 / (1 - reach) steps on average
  regions.num_channels = 32  # of the walk's embedding, by which pairs are chosen
  regions.feature_weight = 1.0  # of visual features beside the walk
  return regions


def _shape() -> ConfigDict:
  shape = ConfigDict()
  shape.steps = 400
  shape.num_rays = 1024
  shape.learning_rate = 1e-2
  shape.final_learning_rate = 5e-4
  shape.warmup_steps = 20
  shape.align = "gradients"  # gradients | activations of the layer that feeds `rgb`
  shape.params = "field/rgb/kernel"  # which parameters' gradients are aligned
  shape.jacobian = "auto"  # auto (as they fit) | closed_form | vjp | sketch
  shape.sketch_directions = 256
  shape.value_channel = "mean"  # mean | random (one channel a step)
  shape.entities = "pixels"  # pixels | points
  shape.contrast_weight = 1e-3
  shape.norm_weight = 0.0
  shape.temperature = 0.2
  shape.similarity = "cosine"  # cosine | dot
  shape.absolute = True  # |s|, the mutual-information reading
  shape.self_positive = False  # the anchor counts as its own positive
  # What an anchor must resemble: any of its positives, which may be wrong, or each.
  shape.positives = "auto"  # any | each; auto: each of the oracle's, else any
  shape.contrast_rays = 256  # rays of a batch that are contrasted; 0 = all
  shape.pairs = "regions"  # regions | features: what is alike is positive
  shape.threshold = 0.3  # first value of the adaptive threshold on features
  shape.min_positives = 0.18  # share of pairs between which it adapts;
  shape.max_positives = 0.2  # (0, 1) leaves the threshold where it is
  shape.threshold_rate = 3e-3  # how far it moves in one step
  shape.color_scale = 0.0  # of RGB in [0, 1]; > 0: positives are alike in colour too
  shape.position_scale = 0.0  # metres; > 0: and lie near one another
  shape.normal_scale = 0.0  # radians; > 0: and their surfaces face the same way
  shape.geometry = "field"  # field | sensor: who tells positions, normals and depth
  shape.fuse_features = False  # average features over the views that see a surface
  shape.hints = ""  # folder of PNGs of segments; those of one segment are positives
  shape.views_per_batch = 0  # views that a batch is drawn from; 0: all, 16 with hints
  shape.oracle = False  # also shape a second field on ground-truth pairs
  shape.oracle_balance = 0.5  # of its contrasted rays: 0 pixels alike, 1 classes alike
  return shape


def _label() -> ConfigDict:
  label = ConfigDict()
  label.clicks = ""  # a clicks file to propagate; "" draws the protocols' clicks
  label.session = ""  # label_session.json of `propagate`, to label other photographs
  # Also per-frame-0.1; instance-sparse, merged-sparse, ...: clicks on instances.
  label.protocols = ("sparse", "clicks-3", "dense")
  label.seeds = 5
  # Also mlp, and paper, which takes far longer.
  label.methods = ("regions", "bayes", "cosine")
  label.rivals = ()  # evaluated beside, such as features, distilled; see validation
  label.primary = "regions"  # the method whose label maps are written
  label.views = "all"  # all | test; which views `propagate` labels
  label.dimensions = ("2d",)  # also 3d: surface points that the test depth shows
  label.bandwidth = 0.02  # of the cosine kernel, in units of cosine
  label.ridge = 0.3  # of bayes and regions: noise over prior variance
  label.area_prior = 1.0  # of regions: power of a class's area in its prior; 0: none
  label.gradient_weight = 0.5  # of regions: gradients beside the walk over surfaces
  label.paper_step = 0.1  # t of the paper's finite nudge
  # mean_gradient | mean_response | k_means | adaptive: what the paper's nudge follows
  label.directions = "mean_gradient"
  label.num_centres = 4  # of k_means, per class
  label.response = "2d"  # 2d | 3d: the nudge's effect on pixels, or on every sample
  label.position_scale = 0.0  # metres; > 0: cosine and paper answer to clicks near by
  label.mlp = ConfigDict()  # the method for labelled frames
  label.mlp.width = 128
  label.mlp.steps = 500
  label.mlp.learning_rate = 3e-3
  # Labels follow what the view shows: 0 leaves them; passes reach 2^passes - 1 pixels.
  label.edge_passes = 2
  label.edge_color_scale = 0.1  # of RGB in [0, 1]: what ends a label
  label.edge_depth_scale = 0.03  # as a share of the distance
  label.proposals = 10  # pixels to click next, for next_clicks.json; 0: none
  label.min_confidence = 0.0  # of the maps that are written; pixels below are class 0
  return label


def _render() -> ConfigDict:
  render = ConfigDict()
  render.field = "shaped"  # plain | shaped | shaped-oracle
  render.path = "test"  # test | train | orbit | interpolate
  render.num_frames = 60  # of a generated path
  return render


def _inspect() -> ConfigDict:
  inspect = ConfigDict()
  inspect.estimate = True  # time a few steps, some 30 s, for what all would cost
  return inspect


def _runtime() -> ConfigDict:
  runtime = ConfigDict()
  runtime.steps_per_call = 25  # scanned in one device call
  runtime.checkpoint_seconds = 60.0  # between checkpoints of a stage
  runtime.chunk = 4096  # rays rendered at once outside training
  runtime.device_data_bytes = 2 * 1024**3  # larger data stay on the host
  runtime.compilation_cache = config_dict.placeholder(str)  # None: user's; "": off
  return runtime
