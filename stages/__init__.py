"""The stages by the names that graphs use: `use = "camera"`. `emopipe inspect` lists them."""

STAGES = {
    # sources
    "camera": "emopipe.stages.capture.camera:Camera",
    "file-capture": "emopipe.stages.capture.file:FileCapture",
    "lsl-markers": "emopipe.stages.lsl.markers:LslMarkers",
    "messages": "emopipe.stages.messages.source:Messages",
    "microphone": "emopipe.stages.capture.microphone:Microphone",
    "network-capture": "emopipe.stages.capture.network:NetworkCapture",
    "subscription": "emopipe.stages.messages.subscription:Subscription",
    "test-pattern": "emopipe.stages.capture.pattern:TestPattern",
    "webrtc": "emopipe.stages.webrtc.source:WebRtc",
    # what is seen and heard
    "face-detection": "emopipe.stages.faces.detection:FaceDetection",
    "face-privacy": "emopipe.stages.faces.privacy:FacePrivacy",
    "face-geometry": "emopipe.stages.faces.geometry:Geometry",
    "facial-inference": "emopipe.stages.faces.inference:FacialInference",
    "onnx-facial-inference": "emopipe.stages.faces.onnx:OnnxFacialInference",
    "speech-windows": "emopipe.stages.speech.windows:SpeechWindows",
    "speech-inference": "emopipe.stages.speech.inference:SpeechInference",
    "onnx-speech-inference": "emopipe.stages.speech.onnx:OnnxSpeechInference",
    "fusion": "emopipe.stages.fusion.stage:Fusion",
    # sinks
    "console": "emopipe.stages.sinks.console:Terminal",
    "csv": "emopipe.stages.sinks.csv:CsvTable",
    "eaf": "emopipe.stages.lab.elan:Eaf",
    "jsonl": "emopipe.stages.sinks.jsonl:JsonLines",
    "lsl": "emopipe.stages.lsl.sink:Lsl",
    "mcap": "emopipe.stages.messages.recorder:Mcap",
    "overlay": "emopipe.stages.mp4.overlay:Overlay",
    "page": "emopipe.stages.web.page:Page",
    "parquet": "emopipe.stages.lab.parquet:Parquet",
    "publish": "emopipe.stages.sinks.publish:Publish",
    "record": "emopipe.stages.mp4.record:Record",
    "report": "emopipe.stages.report.stage:HtmlReport",
    "subtitles": "emopipe.stages.lab.subtitles:Subtitles",
    "textgrid": "emopipe.stages.lab.praat:TextGrid",
}
