"""Learned features of touch for any sensor: encoder, pretraining, probes, recognition.

Data flow: `touch_input` (images of one sensor to network input) -> `encoder` (network) ->
`touch_encoder` (runtime with property heads) -> `touch_memory` (recognition). `pretraining` trains
the encoder on the touch sets of `simulation`.
"""
