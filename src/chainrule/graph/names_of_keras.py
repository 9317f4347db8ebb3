"""Names of Keras' layers, losses, optimisers and callbacks, and what is written here for them."""

_IMAGES = "of images (N, C, H, W); those with the channels last are turned by cr.moveaxis(x, -1, 1)"
_LOGITS = "of logits: the last layer has no softmax or sigmoid"
_CALLBACK = "a cr.Callback of your own, whose on_epoch_end(trainer, record) has the numbers"
_TRANSFORM = "nn.RandomAffine(degrees, translate, scale, shear)"

KERAS = {
    # Layers
    "Dense": "nn.Linear(in_features, out_features), with an activation as the next layer",
    "EinsumDense": "cr.einsum of the input and an nn.Parameter, in forward",
    "Activation": "a layer such as nn.ReLU()",
    "Lambda": "a formula in forward, of a module of your own",
    "Input": "nothing: the arguments of a module's forward are its inputs",
    "InputLayer": "nothing: the arguments of a module's forward are its inputs",
    "Conv1D": "nn.Conv1d(in_channels, out_channels, kernel_size), of sequences (N, C, L)",
    "Conv2D": f"nn.Conv2d(in_channels, out_channels, kernel_size), {_IMAGES}",
    "Conv1DTranspose": "nn.ConvTranspose1d(in_channels, out_channels, kernel_size)",
    "Conv2DTranspose": "nn.ConvTranspose2d(in_channels, out_channels, kernel_size)",
    "DepthwiseConv1D": "nn.Conv1d(C, C * depth_multiplier, kernel_size, groups=C)",
    "DepthwiseConv2D": "nn.Conv2d(C, C * depth_multiplier, kernel_size, groups=C)",
    "SeparableConv1D": "nn.Conv1d(C, C, kernel_size, groups=C), then nn.Conv1d(C, out_channels, 1)",
    "SeparableConv2D": "nn.Conv2d(C, C, kernel_size, groups=C), then nn.Conv2d(C, out_channels, 1)",
    "GlobalAveragePooling1D": "x.mean(axis=-1) in forward, of sequences (N, C, L)",
    "GlobalAveragePooling2D": "x.mean(axis=(-2, -1)) in forward; as layers "
    "nn.AdaptiveAvgPool2d(1) and nn.Flatten()",
    "GlobalMaxPooling1D": "x.max(axis=-1) in forward, of sequences (N, C, L)",
    "GlobalMaxPooling2D": "x.max(axis=(-2, -1)) in forward; as layers nn.AdaptiveMaxPool2d(1) and "
    "nn.Flatten()",
    "AdaptiveAveragePooling2D": "nn.AdaptiveAvgPool2d(output_size)",
    "AdaptiveMaxPooling2D": "nn.AdaptiveMaxPool2d(output_size)",
    "UpSampling1D": "nn.Upsample(scale_factor=2)",
    "UpSampling2D": "nn.Upsample(scale_factor=2)",
    "ZeroPadding1D": "nn.ZeroPad1d((left, right))",
    "ZeroPadding2D": "nn.ZeroPad2d((left, right, top, bottom))",
    "Cropping1D": "x[..., start:stop] in forward",
    "Cropping2D": "x[..., top:bottom, left:right] in forward",
    "BatchNormalization": "nn.BatchNorm1d or nn.BatchNorm2d; Keras' defaults are eps=0.001 and, "
    "as its momentum is 0.99, momentum=0.01",
    "LayerNormalization": "nn.LayerNorm(normalized_shape); Keras' default is eps=0.001",
    "GroupNormalization": "nn.GroupNorm(num_groups, num_channels); Keras' default is eps=0.001",
    "RMSNormalization": "nn.RMSNorm(normalized_shape); Keras' default is eps=1e-6",
    "UnitNormalization": "nn.functional.normalize(x, dim=-1)",
    "SpectralNormalization": "nn.utils.spectral_norm(layer)",
    "Normalization": "nn.Standardize(columns).fit(x)",
    "Rescaling": "x * scale + offset, in forward",
    "SpatialDropout1D": "nn.Dropout1d(rate), of sequences (N, C, L)",
    "SpatialDropout2D": "nn.Dropout2d(rate), of images (N, C, H, W)",
    "GaussianDropout": "x * (1 + (rate / (1 - rate)) ** 0.5 * cr.randn_like(x)) in forward, if "
    "self.training",
    "ActivityRegularization": "a term of the loss, by a function of the model's outputs",
    "SimpleRNN": "nn.RNN(input_size, hidden_size, batch_first=True), which returns (outputs, last)",
    "Bidirectional": "bidirectional=True of nn.RNN, nn.LSTM and nn.GRU",
    "TimeDistributed": "the layer itself where it takes further axes, as nn.Linear does",
    "Masking": "nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, "
    "enforce_sorted=False)",
    "RepeatVector": "cr.repeat(x[:, None], n, axis=1) in forward",
    "Reshape": "nn.Unflatten(1, shape), or x.reshape(...) in forward",
    "Permute": "x.transpose(...) in forward",
    "MultiHeadAttention": "nn.MultiheadAttention(embed_dim, num_heads, batch_first=True), whose "
    "masks are True at what is left out",
    "Attention": "nn.functional.scaled_dot_product_attention(query, key, value, scale=1.0)",
    "Concatenate": "cr.concatenate(tensors, axis=1) in forward",
    "Add": "x + y in forward",
    "Multiply": "x * y in forward",
    "TextVectorization": "text.WordTokenizer",
    "StringLookup": "text.Vocabulary",
    "IntegerLookup": "text.Vocabulary",
    "CategoryEncoding": "cr.one_hot(labels, num_classes)",
    "Discretization": "cr.searchsorted(boundaries, x, right=True)",
    "RandomFlip": "nn.RandomHorizontalFlip() and nn.RandomVerticalFlip()",
    "RandomTranslation": _TRANSFORM,
    "RandomZoom": _TRANSFORM,
    "RandomShear": _TRANSFORM,
    "Resizing": "nn.Upsample(size, mode='bilinear')",
    # Losses
    "SparseCategoricalCrossentropy": f"nn.CrossEntropyLoss(), {_LOGITS}",
    "CategoricalCrossentropy": f"nn.CrossEntropyLoss(), {_LOGITS}",
    "BinaryCrossentropy": f"nn.BCEWithLogitsLoss(), {_LOGITS}",
    "MeanSquaredError": "nn.MSELoss()",
    "MeanAbsoluteError": "nn.L1Loss()",
    "Huber": "nn.HuberLoss(delta=1.0)",
    "LogCosh": "(e + cr.softplus(-2 * e) - cr.log(2.0)).mean(), with e = outputs - targets",
    "KLDivergence": "nn.KLDivLoss(reduction='batchmean'), of log-probabilities",
    "Poisson": "nn.PoissonNLLLoss(log_input=False)",
    "Hinge": "nn.HingeLoss(), whose targets are -1 and 1",
    # Optimisers and schedules
    "Nadam": "optim.NAdam",
    "ExponentialDecay": "optim.ExponentialLR(optimizer, rate ** (1 / decay_steps), unit='step'); "
    "with staircase=True optim.StepLR(optimizer, decay_steps, rate, unit='step')",
    "PiecewiseConstantDecay": "optim.MultiStepLR(optimizer, milestones, gamma, unit='step'), with "
    "milestones one step after Keras' boundaries",
    "PolynomialDecay": "optim.PolynomialLR(optimizer, decay_steps, power, unit='step')",
    "InverseTimeDecay": "optim.InverseTimeLR(optimizer, rate / decay_steps, unit='step')",
    "CosineDecay": "optim.CosineAnnealingLR(optimizer, decay_steps, eta_min, unit='step')",
    "CosineDecayRestarts": "optim.CosineAnnealingWarmRestarts(optimizer, T_0, T_mult, unit='step')",
    # Callbacks and metrics
    "ModelCheckpoint": "fit(..., checkpoint=path) of a cr.Trainer; cr.EarlyStopping restores the "
    "best weights",
    "BackupAndRestore": "fit(..., checkpoint=path, resume=True) of a cr.Trainer",
    "LearningRateScheduler": "cr.Trainer(..., schedule=optim.LambdaLR(optimizer, factor))",
    "SwapEMAWeights": "cr.Trainer(..., ema=optim.EMA(model.parameters(), decay))",
    "TerminateOnNaN": "nothing: cr.NonFiniteError ends a training, which keeps its last good "
    "weights",
    "CSVLogger": "to_csv(path) of the history that fit returns",
    "LambdaCallback": _CALLBACK,
    "RemoteMonitor": _CALLBACK,
    "TensorBoard": _CALLBACK,
    "TopKCategoricalAccuracy": "a function: ((outputs > cr.take_along_axis(outputs, targets[:, "
    "None], 1)).sum(axis=1) < k).mean()",
    # Initialisation
    "VarianceScaling": "nn.init.kaiming_normal_, nn.init.xavier_normal_ and their kin",
}
"""What is written for names of Keras."""

_SHARED = {
    "nn.MaxPool1d(kernel_size), of sequences (N, C, L)": "MaxPooling1D MaxPool1D",
    f"nn.MaxPool2d(kernel_size), {_IMAGES}": "MaxPooling2D MaxPool2D",
    "nn.AvgPool1d(kernel_size), of sequences (N, C, L)": "AveragePooling1D AvgPool1D",
    f"nn.AvgPool2d(kernel_size), {_IMAGES}": "AveragePooling2D AvgPool2D",
    "metrics=['accuracy'] of a cr.Trainer": "BinaryAccuracy CategoricalAccuracy "
    "SparseCategoricalAccuracy",
    "metrics=['auc'] of a cr.Trainer": "AUC",
    "metrics=['precision', 'recall', 'f1'] of a cr.Trainer": "Precision Recall F1Score",
    "nn.init.xavier_uniform_(weight)": "GlorotUniform glorot_uniform",
    "nn.init.xavier_normal_(weight)": "GlorotNormal glorot_normal",
    "nn.init.kaiming_uniform_(weight)": "HeUniform he_uniform",
    "nn.init.kaiming_normal_(weight)": "HeNormal he_normal",
    "nn.init.lecun_normal_(weight)": "LecunNormal lecun_normal",
    "nn.init.orthogonal_(weight)": "Orthogonal OrthogonalInitializer",
}
KERAS |= {name: ours for ours, names in _SHARED.items() for name in names.split()}
