//! The screens' texts in Portuguese, as it is written in Brazil.

use super::{Strings, words};

/// The table in Portuguese, as it is written in Brazil.
pub static STRINGS: Strings = Strings {
    disclaimer: "SOMENTE PESQUISA - NÃO PARA DIAGNÓSTICO",
    booting: words("INICIANDO", "Carregando o modelo."),
    ready: words("PRONTO", "Coloque uma radiografia no negatoscópio e aperte o botão."),
    capturing: words("FOTO", "Não mova a radiografia nem a câmera."),
    analysing: words("ANALISANDO", "Aguarde. A radiografia já pode ser retirada."),
    shutting_down: words("DESLIGANDO", "Não tire o aparelho da tomada ainda."),
    off: words("DESLIGADO", "O aparelho já pode ser tirado da tomada."),
    help_ready: "Apertar: tirar a foto. Segurar 5 s: desligar.",
    help_verdict: "Apertar: próxima radiografia. Segurar 1 s: mapa.",
    help_again: "Apertar: continuar.",
    case: "Caso",
    model: "Modelo",
    classes: ["COVID-19", "Pneumonia", "Normal"],
    threshold: "marca: limiar",
    speaks_for: "Mapa, a favor de:",
    nothing_speaks_for: "Nenhuma área da radiografia a favor de:",
    least: "nada",
    half: "metade (linha)",
    most: "máximo",
    heat_map_off: "Mapa desligado",
    covid19: words("COVID-19", "sinais de pneumonia por COVID-19"),
    pneumonia: words("PNEUMONIA", "sinais de pneumonia, não de COVID-19"),
    normal: words("NORMAL", "sem sinais de pneumonia"),
    refer: words("ENCAMINHAR", "incerto: um leitor deve ver a radiografia"),
    refused: words("RECUSADA", "sem resultado"),
    too_small: "A radiografia está pequena demais na imagem. Aproxime a câmera.",
    too_dark: "A radiografia está escura demais. Ligue o negatoscópio ou aumente a luz.",
    overexposed: "A imagem está clara demais. Evite reflexos ou diminua a luz do negatoscópio.",
    no_contrast: "Quase não há contraste. Coloque uma radiografia no negatoscópio e proteja-a da luz da sala.",
    blurred: "A imagem está desfocada. Foque a radiografia e não mova a câmera.",
    out_of_distribution: "Isto não parece uma radiografia de tórax de frente. Coloque-a direita e inteira. Se for uma, um \
                 leitor treinado deve vê-la.",
    low_confidence: "Nenhuma classe é provável o bastante. Um leitor treinado deve ver esta radiografia.",
    hint_no_film: "Nenhuma radiografia encontrada. Coloque-a direita no negatoscópio ligado.",
    hint_too_dark: "Escuro demais: ligue o negatoscópio.",
    hint_too_bright: "Claro demais: evite reflexos ou diminua a luz do negatoscópio.",
    hint_blurred: "Desfocado: foque a radiografia.",
    fault_camera: words("FALHA DA CÂMERA", "A câmera não dá imagem. Verifique o cabo e conecte-a de novo."),
    fault_storage: words(
        "FALHA DE MEMÓRIA",
        "Os casos não podem ser gravados. Nenhuma radiografia é analisada. Libere espaço ou troque o cartão.",
    ),
    fault_model: words(
        "FALHA DO MODELO",
        "A radiografia não pode ser analisada. Fotografe-a de novo após o reinício; se continuar, reinstale o programa.",
    ),
    fault_gpio: words("FALHA DO BOTÃO", "O botão ou as luzes não respondem. Verifique os fios e reinicie o aparelho."),
    fault_settings: words(
        "FALHA DE AJUSTES",
        "O arquivo de ajustes não pode ser usado. Nenhuma radiografia é analisada. Corrija-o e reinicie o aparelho.",
    ),
};
