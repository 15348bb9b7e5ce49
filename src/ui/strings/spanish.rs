//! The screens' texts in Spanish.

use super::{Strings, words};

/// The table in Spanish.
pub static STRINGS: Strings = Strings {
    disclaimer: "SOLO INVESTIGACIÓN - NO PARA DIAGNÓSTICO",
    booting: words("INICIANDO", "Cargando el modelo."),
    ready: words("LISTO", "Coloque una placa en el negatoscopio y pulse el botón."),
    capturing: words("FOTO", "No mueva la placa ni la cámara."),
    analysing: words("ANALIZANDO", "Espere, por favor. Ya puede retirar la placa."),
    shutting_down: words("APAGANDO", "No desenchufe todavía el equipo."),
    off: words("APAGADO", "Ya puede desenchufar el equipo."),
    help_ready: "Pulsar: tomar la foto. Mantener 5 s: apagar.",
    help_verdict: "Pulsar: otra placa. Mantener 1 s: mapa.",
    help_again: "Pulsar: continuar.",
    case: "Caso",
    model: "Modelo",
    classes: ["COVID-19", "Neumonía", "Normal"],
    threshold: "marca: umbral",
    speaks_for: "Mapa, a favor de:",
    nothing_speaks_for: "Ninguna zona de la placa a favor de:",
    least: "nada",
    half: "mitad (línea)",
    most: "máximo",
    heat_map_off: "Mapa desactivado",
    covid19: words("COVID-19", "signos de neumonía por COVID-19"),
    pneumonia: words("NEUMONÍA", "signos de neumonía, no de COVID-19"),
    normal: words("NORMAL", "sin signos de neumonía"),
    refer: words("DERIVAR", "dudoso: un lector debe ver la placa"),
    refused: words("RECHAZADA", "sin resultado"),
    too_small: "La placa es demasiado pequeña en la imagen. Acerque la cámara.",
    too_dark: "La placa está demasiado oscura. Encienda el negatoscopio o aumente su luz.",
    overexposed: "La imagen es demasiado clara. Evite los reflejos o baje la luz del negatoscopio.",
    no_contrast: "Casi no hay contraste. Coloque una placa en el negatoscopio y protéjala de la luz de la sala.",
    blurred: "La imagen está borrosa. Enfoque la placa y no mueva la cámara.",
    out_of_distribution: "Esto no parece una placa de tórax de frente. Colóquela derecha y entera. Si lo es, debe verla un \
                 lector formado.",
    low_confidence: "Ninguna clase es bastante probable. Un lector formado debe ver esta placa.",
    hint_no_film: "No se encuentra la placa. Colóquela derecha en el negatoscopio encendido.",
    hint_too_dark: "Demasiado oscuro: encienda el negatoscopio.",
    hint_too_bright: "Demasiado claro: evite los reflejos o baje la luz del negatoscopio.",
    hint_blurred: "Borroso: enfoque la placa.",
    fault_camera: words("FALLO DE CÁMARA", "La cámara no da imagen. Revise su cable y vuelva a conectarla."),
    fault_storage: words(
        "FALLO DE MEMORIA",
        "No se pueden guardar casos. No se analiza ninguna placa. Libere espacio o cambie la tarjeta.",
    ),
    fault_model: words(
        "FALLO DEL MODELO",
        "No se puede analizar la placa. Fotografíela de nuevo tras el reinicio; si continúa, reinstale el programa.",
    ),
    fault_gpio: words("FALLO DEL BOTÓN", "El botón o las luces no responden. Revise los cables y reinicie el equipo."),
    fault_settings: words(
        "FALLO DE AJUSTES",
        "El archivo de ajustes no se puede usar. No se analiza ninguna placa. Corríjalo y reinicie el equipo.",
    ),
};
