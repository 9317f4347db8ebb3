"""Arguments of Keras' `fit` and callbacks, and what is written here for them."""

OF_FIT = {
    "class_weight": "sample_weight=weights[y], with an array of the weights of the classes",
    "validation_split": "validation_fraction, the share of rows that are drawn at random",
    "validation_freq": "nothing: validation follows every epoch",
    "validation_batch_size": "validation_data=chainrule.data.batches(x, y, batch_size)",
    "validation_steps": "validation_data, which is gone through once",
    "steps_per_epoch": "an iterable of batches, gone through once in each epoch",
    "initial_epoch": "resume=True with checkpoint=path, after which epochs counts from the first",
    "callbacks": "Trainer(..., callbacks=[...])",
    "verbose": "progress=False for 0",
}
OF_CALLBACKS = {
    "restore_best_weights": "restore_best, which is True by default",
    "baseline": "a chainrule.Callback of your own, which calls trainer.stop(reason)",
    "start_from_epoch": "a chainrule.Callback of your own, which calls trainer.stop(reason)",
    "verbose": "nothing: fit says why it stopped, and the history has the learning rates",
}
"""Of those that stop the training or lower the learning rate."""
